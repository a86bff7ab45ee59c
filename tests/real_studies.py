"""Studies made of real DICOM files, by the product's own tag reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.dicom.content.part10 import split
from adapters.dicom.content.tags import read_tags
from gateway.identity import digest
from gateway.study import Instance, Patient, Series, Study
from tests.builders import CREATED_AT

CHEST_CT = Path(__file__).parents[2] / "shared" / "data" / "chest-ct-lungdx"


def instance_of(path: Path) -> Instance:
    header, data = split(path.read_bytes())
    tags = read_tags(header, [data])
    return Instance(tags["SOPInstanceUID"], tags["SOPClassUID"], tags["StudyInstanceUID"], tags["SeriesInstanceUID"],
                    tags["TransferSyntaxUID"], str(path), path.stat().st_size, digest(str(path)), tags, CREATED_AT)


def study_of(paths: Sequence[Path]) -> Study:
    """All files as one series of one study."""
    held = tuple(instance_of(path) for path in paths)
    first = held[0]
    text = {k: str(first.tags.get(k) or "") for k in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")}
    who = Patient(text["PatientID"], "", text["PatientName"], text["PatientBirthDate"], text["PatientSex"])
    series = Series(first.series_instance_uid, str(first.tags["Modality"]), held)
    return Study("SITE", first.study_instance_uid, who, (series,), str(first.tags.get("AccessionNumber") or ""))
