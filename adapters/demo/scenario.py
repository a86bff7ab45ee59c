"""What is sent in the demonstration: synthetic patients, their orders and studies, and what should become of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.dicom.content import part10
from adapters.dicom.content.audio_write import write_sound
from adapters.dicom.content.ct_write import write_ct, write_mr
from adapters.dicom.content.mr_write import MrSeries, write_mr_study
from adapters.dicom.content.photo_write import write_photo
from adapters.dicom.content.tags import read_tags
from adapters.dicom.content.waveform_write import write_ecg
from adapters.files.photograph import PhotographFile
from gateway.audio import AudioSource
from gateway.errors import Rejected
from gateway.ports import EcgSource
from gateway.study import Patient


class EcgSample(Protocol):
    """A synthetic ECG, as a reader's own generator makes it."""

    name: str
    title: str
    verdict: str
    signal: NDArray[np.float32]
    rate: float
    leads: tuple[str, ...]


class CtSample(Protocol):
    """A synthetic CT volume in HU."""

    name: str
    title: str
    verdict: str
    hu: NDArray[np.int16]
    spacing: tuple[float, float, float]


class PhotographSample(Protocol):
    """A drawn photograph: uint8 RGB (rows, columns, 3), mm per pixel."""

    name: str
    title: str
    verdict: str | None
    pixels: NDArray[np.uint8]
    spacing: tuple[float, float]


class HeadSample(Protocol):
    """A synthetic head MR study: its series."""

    name: str
    title: str
    verdict: str
    series: Sequence[MrSeries]


class SoundSample(Protocol):
    """A synthetic breath sound: float32 (samples,) in [-1, 1], Hz, where on the chest."""

    name: str
    title: str
    verdict: str
    sound: NDArray[np.float32]
    rate: float
    location: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One study to be sent. `state` and `verdict` (None: any): what the worklist must say in the end."""

    title: str
    study_instance_uid: str
    objects: tuple[bytes, ...]
    state: str
    verdict: str | None
    patient: Patient | None = None
    accession_number: str = ""
    priority: str = "R"
    procedure: str = ""
    question: str = ""


_PEOPLE = (("Petrova^Anna^Sergeevna", "19580314", "F"), ("Schmidt^Karl", "19490721", "M"),
           ("Okafor^Ngozi", "19761102", "F"), ("Tanaka^Hiroshi", "19630609", "M"), ("Иванов^Пётр", "19550130", "M"),
           ("Lindqvist^Maja", "19880817", "F"), ("Moreau^Luc", "19700505", "M"), ("Garcia^Elena", "19811224", "F"),
           ("Novak^Jan", "19660218", "M"))
_RECORDED = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_STAT = {"afib": "S", "opacity": "A", "mr-infarct": "S"}


def scenarios(ecgs: Iterable[EcgSample], volumes: Iterable[CtSample],
              photographs: Iterable[PhotographSample] = (), sounds: Iterable[SoundSample] = (),
              heads: Iterable[HeadSample] = ()) -> list[Scenario]:
    """Everything that the readers' generators make, and an MR study that no rule takes."""
    made: list[Scenario] = []
    for ecg in ecgs:
        made.append(_ecg(ecg, len(made)))
    for volume in volumes:
        made.append(_ct(volume, len(made)))
    made.append(_mr(len(made)))
    for photograph in photographs:
        made.append(_photograph(photograph, len(made)))
    for sound in sounds:
        made.append(_sound(sound, len(made)))
    for head in heads:
        made.append(_head(head, len(made)))
    return made


def _identity(number: int, name: str) -> tuple[Patient, str, tuple[str, str]]:
    person, born, sex = _PEOPLE[number % len(_PEOPLE)]
    return Patient(f"DEMO{number + 1:03d}", "HOSPITAL", person, born, sex), f"ACC{number + 1:04d}", ("demo", name)


def _ecg(sample: EcgSample, number: int) -> Scenario:
    patient, accession, key = _identity(number, sample.name)
    content = write_ecg(EcgSource(key, patient, sample.signal, sample.rate, sample.leads, _RECORDED, accession))
    procedure = "ECG12^Resting 12-lead ECG^L" if len(sample.leads) > 1 else "ECG1^One-lead ECG^L"
    return _scenario(sample.title, [content], "reported", sample.verdict, patient, accession, sample.name, procedure,
                     "Palpitations, arrhythmia?")


def _ct(sample: CtSample, number: int) -> Scenario:
    patient, accession, key = _identity(number, sample.name)
    slices = write_ct(sample.hu, sample.spacing, patient, key=key, accession_number=accession, recorded_at=_RECORDED,
                      description="Chest CT")
    return _scenario(sample.title, slices, "reported", sample.verdict, patient, accession, sample.name,
                     "CTCHEST^CT chest^L", "Cough and fever, pneumonia?")


def _photograph(sample: PhotographSample, number: int) -> Scenario:
    patient, accession, key = _identity(number, sample.name)
    content = write_photo(PhotographFile(sample.pixels), "DMS", patient, key=key, recorded_at=_RECORDED,
                          accession_number=accession, spacing=sample.spacing)
    return _scenario(sample.title, [content], "reported", sample.verdict, patient, accession, sample.name,
                     "DERMO^Dermoscopy^L", "Changing mole")


def _head(sample: HeadSample, number: int) -> Scenario:
    patient, accession, key = _identity(number, sample.name)
    objects = write_mr_study(sample.series, patient, key=key, accession_number=accession, recorded_at=_RECORDED,
                             description="MR head")
    return _scenario(sample.title, objects, "reported", sample.verdict, patient, accession, sample.name,
                     "MRHEAD^MR head^L", "Sudden weakness of the right arm, stroke?")


def _sound(sample: SoundSample, number: int) -> Scenario:
    patient, accession, key = _identity(number, sample.name)
    content = write_sound(AudioSource(key, patient, sample.sound[None], sample.rate, _RECORDED, accession,
                                      location=sample.location, description="Auscultation"))
    return _scenario(sample.title, [content], "reported", sample.verdict, patient, accession, sample.name,
                     "AUSC^Auscultation of lungs^L", "Wheezing at night")


def _mr(number: int) -> Scenario:
    patient, accession, key = _identity(number, "mr-knee")
    rows, columns = np.mgrid[0:64, 0:64]
    disc = ((rows - 32) ** 2 + (columns - 32) ** 2 < 500).astype(np.int16) * 400
    slices = write_mr(np.stack([disc] * 4), (5.0, 2.0, 2.0), patient, key=key, accession_number=accession,
                      recorded_at=_RECORDED, description="MR knee")
    return _scenario("MR of the knee: no reader for it", slices, "unsupported", None, patient, accession, "mr-knee",
                     "MRKNEE^MR knee^L", "Meniscus?")


def _scenario(title: str, objects: Sequence[bytes], state: str, verdict: str | None, patient: Patient,
              accession: str, name: str, procedure: str, question: str) -> Scenario:
    header, dataset = part10.split(objects[0])
    uid = str(read_tags(header, [dataset])["StudyInstanceUID"])
    return Scenario(title, uid, tuple(objects), state, verdict, patient, accession, _STAT.get(name, "R"), procedure,
                    question)


def own_files(folder: Path) -> list[Scenario]:
    """A folder of the user's own DICOM files, one scenario a study; other files are passed over."""
    found: dict[str, list[Any]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        try:
            header, dataset = part10.split(content)
            tags = read_tags(header, [dataset])
        except Rejected:
            continue
        found.setdefault(str(tags["StudyInstanceUID"]), []).append((content, str(tags.get("Modality", "?"))))
    return [Scenario(f"your own {objects[0][1]} study, {len(objects)} objects", uid,
                     tuple(content for content, _ in objects), "", None) for uid, objects in found.items()]
