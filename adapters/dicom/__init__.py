"""DICOM: content apart from transport."""

from adapters.dicom.content import character_sets

character_sets.complete()
