"""Files that are no DICOM, as the DICOM objects that they become: what each is, it says by its first bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import PurePath
from typing import Any

from adapters.dicom.content.audio_write import write_sound
from adapters.dicom.content.ct_write import ct_slices
from adapters.dicom.content.photo_write import SOP_CLASSES, write_photo
from adapters.dicom.content.waveform_write import write_ecg
from adapters.files import npy_source, photograph
from adapters.files.aecg_source import is_aecg, read_aecg
from adapters.files.nifti_source import is_nifti, read_nifti
from adapters.files.sound_source import is_sound, read_sound
from adapters.files.wfdb_bundle import wrap_files
from gateway.errors import Unusable
from gateway.study import Patient

KINDS = ("npy", "aecg", "nifti", "photo", "sound")
HEAD_BYTES = 4096
"""Of a file, enough for `Conversion.kind`."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """`zone`: of times that tell none. `modalities`: what the configured readers take; photographs only with one."""

    zone: tzinfo = UTC
    modalities: frozenset[str] = field(default_factory=frozenset)

    @property
    def accepted(self) -> str:
        """What is taken, for people."""
        photos = ", PNG or JPEG photographs" if self._photo_modality else ""
        return ("DICOM, zips of DICOM, WFDB records (.hea with its signal files), HL7 aECG XML, "
                f".npy (12 leads × samples, mV, 500 Hz), NIfTI-1 CT volumes, WAV or FLAC breath sounds{photos}")

    def kind(self, head: bytes) -> str:
        """One of KINDS by the first bytes of a file, "" for anything else."""
        if head.startswith(npy_source.MAGIC):
            return "npy"
        if head.startswith(photograph.MAGIC):
            return "photo"
        if is_nifti(head):
            return "nifti"
        if is_sound(head):
            return "sound"
        return "aecg" if is_aecg(head) else ""

    def objects(self, kind: str, content: bytes | memoryview, name: str, modified: float) -> Iterator[bytes]:
        """Part 10 bytes of each object of a file of that kind; `modified`: POSIX seconds. Raises Unusable."""
        makers: Mapping[str, Callable[[Any, str, float], Iterable[bytes]]] = {
            "npy": self._npy, "aecg": self._aecg, "nifti": self._nifti, "photo": self._photo,
            "sound": self._sound}
        yield from makers[kind](content if kind == "nifti" else bytes(content), name, modified)

    def wfdb(self, header: str, files: Mapping[str, bytes], modified: float) -> bytes:
        """See wfdb_bundle.wrap_files."""
        return wrap_files(header, files, modified, zone=self.zone)

    def _npy(self, content: bytes, name: str, modified: float) -> Iterable[bytes]:
        return [write_ecg(npy_source.read_npy(content, name, modified))]

    def _aecg(self, content: bytes, _name: str, _modified: float) -> Iterable[bytes]:
        return [write_ecg(read_aecg(content, zone=self.zone))]

    def _nifti(self, content: bytes, name: str, modified: float) -> Iterable[bytes]:
        volume = read_nifti(content)
        return ct_slices(volume.slices(), volume.spacing, _named(name), key=("nifti", volume.key),
                         recorded_at=_moment(modified), description="")

    def _sound(self, content: bytes, name: str, modified: float) -> Iterable[bytes]:
        return [write_sound(read_sound(content, name, modified))]

    def _photo(self, content: bytes, name: str, modified: float) -> Iterable[bytes]:
        if not self._photo_modality:
            raise Unusable(f"no reader takes photographs; what is taken: {self.accepted}")
        return [write_photo(photograph.read_photograph(content), self._photo_modality, _named(name),
                            key=("photo", hashlib.sha256(content).hexdigest()), recorded_at=_moment(modified))]

    @property
    def _photo_modality(self) -> str:
        return next((modality for modality in SOP_CLASSES if modality in self.modalities), "")


def _named(name: str) -> Patient:
    """There is no patient in such a file: it is known by the file's name."""
    return Patient(PurePath(PurePath(name).name.removesuffix(".gz")).stem[:64])


_moment = partial(datetime.fromtimestamp, tz=UTC)
