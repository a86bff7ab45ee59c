"""Head MR studies for tests: written as DICOM, told by different vendors, classic or enhanced, spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from adapters.dicom.content import part10
from adapters.dicom.content.common import to_part10
from adapters.dicom.content.mr_write import write_mr_study
from adapters.dicom.content.tags import read_tags
from gateway.explaining import study_alone
from gateway.mr import MrAcquisition, MrVolume
from gateway.study import Instance, Patient, Series, Study
from pipelines.stroke_mr.synthetic import MrSeries, Sample, samples
from tests import builders

PATIENT = Patient("MR-1", "HOSP", "Muster^Max", "19500102", "M")
RECORDED = datetime(2026, 1, 5, 8, tzinfo=UTC)
Change = Callable[[Dataset], None]


@lru_cache(maxsize=1)
def both() -> tuple[Sample, Sample]:
    """The infarct and the healthy head of the demonstration."""
    infarct, normal = samples()
    return infarct, normal


@dataclass(frozen=True)
class Small:
    """A series of a few small slices; what it shows does not matter."""

    values: NDArray[np.int16]
    attributes: dict[str, Any]
    spacing: tuple[float, float, float] = (5.0, 2.0, 2.0)
    origin: tuple[float, float, float] = (-15.0, -15.0, 0.0)


def small(number: int = 10, **attributes: Any) -> Small:
    values = np.arange(number * 256, dtype=np.int16).reshape(number, 16, 16)
    plain = {"ImageType": ["ORIGINAL", "PRIMARY", "M"], "BodyPartExamined": "HEAD", "ScanningSequence": "SE",
             "SequenceVariant": "SK"}
    return Small(values, {**plain, **attributes})


def written(series: Sequence[Any], key: str, change: Change | None = None) -> list[bytes]:
    objects = write_mr_study(series, PATIENT, key=("test", key), accession_number="ACC-9", recorded_at=RECORDED,
                             description="Head MR")
    return objects if change is None else [changed(content, change) for content in objects]


def changed(content: bytes, change: Change) -> bytes:
    ds = dcmread(BytesIO(content))
    change(ds)
    return to_part10(ds)


def received(objects: Sequence[bytes], folder: Path) -> tuple[Instance, ...]:
    made = []
    for number, content in enumerate(objects):
        path = folder / f"{number}.dcm"
        path.write_bytes(content)
        header, dataset = part10.split(content)
        tags = read_tags(header, [dataset])
        made.append(Instance(tags["SOPInstanceUID"], tags["SOPClassUID"], tags["StudyInstanceUID"],
                             tags["SeriesInstanceUID"], tags["TransferSyntaxUID"], str(path), len(content),
                             str(number), tags, RECORDED))
    return tuple(made)


def study_of(series: Sequence[Any], folder: Path, key: str = "s", change: Change | None = None) -> Study:
    return replace(study_alone("SITE", received(written(series, key, change), folder)), patient=PATIENT)


def with_values(series: MrSeries, change: Callable[[NDArray[np.int16]], NDArray[Any]]) -> MrSeries:
    return replace(series, values=np.asarray(np.clip(change(series.values), 0, 32000), np.int16))


def enhanced(series: Sequence[Any], frames: Callable[[int, int], Dataset], key: str) -> bytes:
    """One Enhanced MR object of all slices of several volumes, positions mixed. `frames(volume, slice)`: what else
    stands in a frame's functional groups."""
    (first,) = {one.values.shape for one in series}
    plain = dcmread(BytesIO(written(series[:1], key)[0]))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                    "SpacingBetweenSlices", "RepetitionTime", "EchoTime", "InversionTime", "DiffusionBValue"):
        if keyword in plain:
            del plain[keyword]
    plain.SOPClassUID = plain.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    places = [(v, s) for v in range(len(series)) for s in range(first[0])]
    np.random.default_rng(5).shuffle(places)
    plain.NumberOfFrames = len(places)
    plain.SharedFunctionalGroupsSequence = [_shared(series[0])]
    plain.PerFrameFunctionalGroupsSequence = [_frame(series[v], s, frames(v, s)) for v, s in places]
    plain.PixelData = b"".join(series[v].values[s].astype("<i2").tobytes() for v, s in places)
    return to_part10(plain)


def _shared(series: Any) -> Dataset:
    measures, orientation, group = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(series.spacing[1:]), series.spacing[0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    group.PixelMeasuresSequence, group.PlaneOrientationSequence = [measures], [orientation]
    return group


def _frame(series: Any, number: int, group: Dataset) -> Dataset:
    place = Dataset()
    x, y, z = series.origin
    place.ImagePositionPatient = [x, y, z + series.spacing[0] * number]
    group.PlanePositionSequence = [place]
    return group


def a_head() -> Study:
    """A study of FLAIR and diffusion as far as tags go; `volumes` are its images."""
    of = builders.study("ct", instances=50)
    told = [replace(i, sop_class_uid=MRImageStorage, series_instance_uid=f"1.2.{n // 25 + 1}", tags={
        **i.tags, **both()[0].series[n // 25].attributes, "Modality": "MR",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0.0, 0.0, 5.5 * (n % 25)]})
        for n, i in enumerate(of.instances)]
    series = tuple(Series(f"1.2.{k + 1}", "MR", tuple(told[25 * k:25 * k + 25])) for k in (0, 1))
    return replace(of, series=series)


def volumes(instances: tuple[Instance, ...]) -> tuple[MrVolume, ...]:
    """The infarct of the demonstration, whatever the files hold."""
    made = []
    for number, sample in enumerate(both()[0].series[:2]):
        own = instances[25 * number:25 * number + 25]
        told = sample.attributes
        how = MrAcquisition(f"1.2.{number + 1}", "1.9", tuple(told["ImageType"]), str(told["SequenceName"]).upper(),
                            repetition_time=told["RepetitionTime"], echo_time=told["EchoTime"],
                            inversion_time=told.get("InversionTime"), b_value=told.get("DiffusionBValue"))
        made.append(MrVolume(sample.values.astype(np.float32), sample.spacing, np.arange(25) * sample.spacing[0],
                             tuple((i.sop_instance_uid, 1) for i in own), sample.origin, (1, 0, 0, 0, 1, 0), how))
    return tuple(made)
