"""`triage-gateway conform`: are the files we emitted what the standards ask, and what our own promises ask?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID, SecondaryCaptureImageStorage

from adapters.dicom.content.conform_picture import check_picture
from adapters.dicom.content.conform_sr import Sizes, check_report
from adapters.dicom.content.waveform_read import MALFORMED
from adapters.dicom.transport import tools

Checker = Callable[[bytes], Sequence[str]]
"""Bytes of a document → sentences about what is wrong with it, none where it is sound."""

_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
           "AccessionNumber", "ReferringPhysicianName")


@dataclass(frozen=True, slots=True)
class ConformReport:
    """One file's outcome. `kind`: its SOP class or file type in words; `checked_by`: `own` and the tools that ran."""

    path: Path
    kind: str
    problems: tuple[str, ...]
    checked_by: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


def conform(paths: Sequence[Path], checkers: Mapping[str, Checker] | None = None) -> list[ConformReport]:
    """One report for each file, in the order given. DICOM files are checked here and by the installed validators.

    `checkers`: for other files by suffix (`.hl7`, `.json`); a file with no checker is a problem. Images among `paths`
    serve to hold the regions of reports against their size. Unreadable files are reported, nothing is raised.
    """
    told = checkers or {}
    sizes = _sizes(paths)
    return [_other(p, told[p.suffix]) if p.suffix in told else _dicom(p, sizes) for p in paths]


def check_object(ds: Dataset, sizes: Sizes) -> list[str]:
    """Our own asserts on any object of ours: identity, patient and study, then what its SOP class asks."""
    found = [f"{keyword} is no valid UID" for keyword in _UIDS if not UID(str(ds.get(keyword, ""))).is_valid]
    found += [f"{keyword} is missing (type 2: empty where unknown)" for keyword in _TYPE_2 if keyword not in ds]
    if ds.file_meta.get("MediaStorageSOPInstanceUID") != ds.get("SOPInstanceUID"):
        found.append("the file meta information names another SOP instance")
    if ds.SOPClassUID.startswith(_STRUCTURED_REPORTS):
        found += check_report(ds, sizes)
    if ds.SOPClassUID == SecondaryCaptureImageStorage:
        found += check_picture(ds)
    return found


def _dicom(path: Path, sizes: Sizes) -> ConformReport:
    try:
        ds = dcmread(path)
        found = check_object(ds, sizes)
        sop_class = UID(str(ds.SOPClassUID))
    except (*MALFORMED, OSError) as error:
        return ConformReport(path, "DICOM", (f"cannot be read as DICOM ({type(error).__name__})",), ("own",))
    judged = tools.judge(path, sop_class)
    found += [f"{j.tool}: {problem}" for j in judged for problem in j.problems]
    return ConformReport(path, sop_class.name, tuple(found), ("own", *(j.tool for j in judged)))


def _other(path: Path, check: Checker) -> ConformReport:
    kind = path.suffix.removeprefix(".").upper()
    try:
        content = path.read_bytes()
    except OSError as error:
        return ConformReport(path, kind, (f"cannot be read ({error.strerror})",), ("own",))
    return ConformReport(path, kind, tuple(check(content)), ("own",))


def _sizes(paths: Sequence[Path]) -> Sizes:
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        try:
            ds = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "Rows", "Columns"])
            found[str(ds.SOPInstanceUID)] = (int(ds.Rows), int(ds.Columns))
        except (*MALFORMED, OSError):
            continue
    return found
