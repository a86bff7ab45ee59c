"""Sockets and HTTP: thin, around `adapters.dicom.content`."""
