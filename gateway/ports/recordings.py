"""Port: labelled files of a hospital's own, for training and validation, where no study is about them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gateway.audio import Audio
from gateway.photograph import Photograph
from gateway.pipeline import Ecg, Volume


class Recordings(Protocol):
    """Files as readers get them from a study. Raises Unusable (no such thing, damaged), Transient (out of reach)."""

    def ecg(self, path: Path) -> Ecg:
        """A DICOM waveform, a WFDB record (by its header or its name without suffix), HL7 aECG XML, or a `.npy` (12
        leads × samples, mV, 500 Hz)."""
        ...

    def audio(self, path: Path) -> Audio:
        """A WAV or FLAC file, or a DICOM object that holds a sound."""
        ...

    def photograph(self, path: Path) -> Photograph:
        """A JPEG or PNG file, or a DICOM object that holds a colour image."""
        ...

    def volume(self, path: Path) -> Volume:
        """A NIfTI-1 file (`.nii`, `.nii.gz`) of a CT in HU, or a folder of DICOM slices."""
        ...
