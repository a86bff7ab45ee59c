"""Receiver processes (`dicom.processes`): they take in and store objects; the engine's process alone indexes them."""
