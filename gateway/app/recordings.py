"""Files by path as readers get them from a study: what training and validation are given to open labelled data with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from adapters.dicom.content.audio_read import load_audio
from adapters.dicom.content.photo_read import load_photograph
from adapters.dicom.content.volume import load_volume
from adapters.dicom.content.waveform_read import load_ecg
from adapters.files import photograph
from adapters.files.aecg_source import is_aecg, read_aecg
from adapters.files.conversion import HEAD_BYTES
from adapters.files.nifti_source import is_nifti, read_nifti
from adapters.files.npy_source import MAGIC, read_npy
from adapters.files.sound_source import is_sound, read_sound
from adapters.files.wfdb_source import read_wfdb
from gateway.audio import Audio
from gateway.errors import Transient, Unusable
from gateway.photograph import Photograph
from gateway.pipeline import Ecg, Volume
from gateway.ports import EcgSource
from gateway.study import Instance


class RecordingFiles:
    """Implements gateway.ports.recordings.Recordings. What a file is, it says by its first bytes."""

    def ecg(self, path: Path) -> Ecg:
        header = _wfdb_header(path)
        if header is not None:
            return _as_ecg(read_wfdb(header))
        head = _head(path)
        if head.startswith(MAGIC):
            return _as_ecg(read_npy(path.read_bytes(), path.name, path.stat().st_mtime))
        if is_aecg(head):
            return _as_ecg(read_aecg(path.read_bytes()))
        return load_ecg((_instance(1, path),))

    def audio(self, path: Path) -> Audio:
        if not is_sound(_head(path)):
            return load_audio((_instance(1, path),))
        source = read_sound(path.read_bytes(), path.name, path.stat().st_mtime)
        channels = tuple((1, number) for number in range(1, len(source.signal) + 1))
        return Audio(source.signal, source.rate, "2.25.1", channels, source.location, source.age_years,
                     source.patient.sex)

    def photograph(self, path: Path) -> Photograph:
        if not _head(path).startswith(photograph.MAGIC):
            return load_photograph(_instance(1, path))
        return Photograph(photograph.read_photograph(path.read_bytes()).pixels, None, "2.25.1")

    def volume(self, path: Path) -> Volume:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "DICOMDIR")
            return load_volume(tuple(_instance(number, file) for number, file in enumerate(files, 1)))
        if not is_nifti(_head(path)):
            raise Unusable("the volume is neither a NIfTI-1 file nor a folder of DICOM slices")
        held = read_nifti(path.read_bytes())
        hu = np.stack(list(held.slices())).astype(np.float32)
        positions = np.arange(len(hu), dtype=np.float64) * held.spacing[0]
        return Volume(hu, held.spacing, positions, tuple((f"2.25.{n}", 1) for n in range(1, len(hu) + 1)))


def _wfdb_header(path: Path) -> Path | None:
    """The header of a record that is named by it, by a signal file of it, or without suffix."""
    if path.suffix.lower() == ".hea":
        return path
    beside = path.with_name(path.name + ".hea")
    if beside.is_file():
        return beside
    return path.with_suffix(".hea") if path.suffix.lower() == ".dat" else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise Unusable("the file is not there") from None
    except OSError as error:
        raise Transient("the file cannot be opened") from error


def _as_ecg(source: EcgSource) -> Ecg:
    channels = tuple((1, number) for number in range(1, len(source.leads) + 1))
    return Ecg(source.signal, source.rate, source.leads, "2.25.1", channels)


def _instance(number: int, path: Path) -> Instance:
    return Instance(f"2.25.{number}", "", "2.25.1", "2.25.2", "", str(path), 0, "", {},
                    datetime(2000, 1, 1, tzinfo=UTC))
