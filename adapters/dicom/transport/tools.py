"""Validators of others, run where they are installed: dciodvfy (dicom3tools) and dsrdump (DCMTK)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

_SECONDS = 60
_WORKED_ON_REPORTS = ".88."
_UNKNOWN_TO_DCIODVFY = {
    "1.2.840.10008.5.1.4.1.1.9.4.2": ("1.2.840.10008.5.1.4.1.1.9.4.1", "Basic Voice Audio Waveform"),
    "1.2.840.10008.5.1.4.1.1.9.6.1": ("1.2.840.10008.5.1.4.1.1.9.2.1", "Hemodynamic Waveform"),
    "1.2.840.10008.5.1.4.1.1.9.6.2": ("1.2.840.10008.5.1.4.1.1.9.2.1", "Hemodynamic Waveform"),
}
"""General Audio and Respiratory Waveforms: it says that it knows no such object. Each with one that it knows, of the
same modules (PS3.3 A.34)."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one tool said of one file: `problems` is empty where it found none."""

    tool: str
    problems: tuple[str, ...]


def judge(path: Path, sop_class_uid: str) -> list[Judgement]:
    """Every installed tool's word on a DICOM file; a tool that is not installed says nothing."""
    said = [_as_another(path, *_UNKNOWN_TO_DCIODVFY[sop_class_uid]) if sop_class_uid in _UNKNOWN_TO_DCIODVFY
            else dciodvfy(path)]
    if _WORKED_ON_REPORTS in sop_class_uid:
        said.append(dsrdump(path))
    return [told for told in said if told is not None]


def _as_another(path: Path, sop_class_uid: str, name: str) -> Judgement | None:
    """What dciodvfy says of the modules, under a class that it knows."""
    with tempfile.TemporaryDirectory() as folder:
        ds = dcmread(path)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class_uid
        copy = Path(folder) / "as.dcm"
        ds.save_as(copy)
        told = dciodvfy(copy)
    return None if told is None else Judgement(f"{told.tool}, as {name}", told.problems)


def dciodvfy(path: Path) -> Judgement | None:
    """Information object definitions. Its exit status is unreliable: lines that start with `Error` count."""
    done = _run("dciodvfy", "-new", str(path))
    if done is None:
        return None
    lines = (done.stderr + done.stdout).splitlines()
    return Judgement("dciodvfy", tuple(line for line in lines if line.startswith("Error")))


def dsrdump(path: Path) -> Judgement | None:
    """The content tree of a structured report; exit status 1 where it cannot be read."""
    done = _run("dsrdump", "-q", str(path))
    if done is None:
        return None
    return Judgement("dsrdump", () if done.returncode == 0 else ("the content tree cannot be read",))


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """None where the tool is not installed."""
    if shutil.which(command[0]) is None:
        return None
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"Error - {command[0]} did not come to an end")
