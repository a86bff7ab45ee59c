"""Identifiers of C-FIND, C-GET and C-MOVE in the Study Root model (PS3.4 C.6.2), and what answers say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from gateway.fetching import ArchivedInstance, ArchivedStudy, Level

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
PENDING = (0xFF00, 0xFF01)
_UTF8 = "ISO_IR 192"


def count_of_study(study: str) -> Dataset:
    return _identifier("STUDY", {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""})


def series_of_study(study: str) -> Dataset:
    return _identifier("SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": ""})


def instances_of_series(study: str, series: str) -> Dataset:
    return _identifier("IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": "",
                                 "SOPClassUID": ""})


def studies_of_patient(patient_id: str) -> Dataset:
    told = ("IssuerOfPatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyTime", "ModalitiesInStudy")
    return _identifier("STUDY", {"PatientID": patient_id, **dict.fromkeys(told, "")})


def retrieval(study: str, level: Level) -> Dataset:
    if level.sop_instance_uids:
        return _identifier("IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": level.series_instance_uid,
                                     "SOPInstanceUID": list(level.sop_instance_uids)})
    if level.series_instance_uid:
        return _identifier("SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": level.series_instance_uid})
    return _identifier("STUDY", {"StudyInstanceUID": study})


def told_count(answers: Iterable[Dataset], study: str) -> tuple[bool, int | None]:
    """(whether the study is known, how many instances it is said to have)."""
    for answer in answers:
        if text(answer, "StudyInstanceUID") == study:
            number = text(answer, "NumberOfStudyRelatedInstances")
            return True, int(number) if re.fullmatch(r"\d{1,9}", number) else None
    return False, None


def told_series(answers: Iterable[Dataset], study: str) -> list[str]:
    """An answer about another study is no answer; one that leaves the study out means the one that was asked for."""
    return list(dict.fromkeys(uid for answer in answers if text(answer, "StudyInstanceUID") in ("", study)
                              and (uid := text(answer, "SeriesInstanceUID"))))


def told_modalities(answers: Iterable[Dataset], study: str) -> tuple[str, ...]:
    return tuple(sorted({modality for answer in answers if text(answer, "StudyInstanceUID") in ("", study)
                         and (modality := text(answer, "Modality"))}))


def told_instances(answers: Iterable[Dataset], series: str) -> list[ArchivedInstance]:
    return [ArchivedInstance(series, uid, text(answer, "SOPClassUID")) for answer in answers
            if text(answer, "SeriesInstanceUID") in ("", series) and (uid := text(answer, "SOPInstanceUID"))]


def told_studies(answers: Iterable[Dataset]) -> tuple[ArchivedStudy, ...]:
    return tuple(ArchivedStudy(uid, text(answer, "PatientID"), text(answer, "IssuerOfPatientID"),
                               text(answer, "PatientBirthDate"), tuple(_several(answer, "ModalitiesInStudy")),
                               _digits(answer, "StudyDate", 8), _digits(answer, "StudyTime", 6))
                 for answer in answers if (uid := text(answer, "StudyInstanceUID")))


def text(dataset: Dataset, keyword: str) -> str:
    """A single value as text; empty where it is missing or cannot be read."""
    values = _several(dataset, keyword)
    return values[0] if values else ""


def _several(dataset: Dataset, keyword: str) -> list[str]:
    try:
        value: Any = dataset.get(keyword)
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return [str(one).strip() for one in values if one is not None and str(one).strip()]
    except Exception:  # the library raises what its converters happen to meet
        return []


def _digits(dataset: Dataset, keyword: str, length: int) -> str:
    """A date or time without its separators; empty where it is not one."""
    found = text(dataset, keyword).replace(":", "").partition(".")[0]
    whole = len(found) == length or (keyword == "StudyTime" and len(found) < length)
    return found if found.isdigit() and whole else ""


def _identifier(level: str, keys: Mapping[str, Any]) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    if not all(str(value).isascii() for value in keys.values()):
        made.SpecificCharacterSet = _UTF8
    return made
