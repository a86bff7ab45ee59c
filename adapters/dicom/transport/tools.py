"""Validators of others, run where they are installed: dciodvfy (dicom3tools) and dsrdump (DCMTK)."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60
_WORKED_ON_REPORTS = ".88."


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one tool said of one file: `problems` is empty where it found none."""

    tool: str
    problems: tuple[str, ...]


def judge(path: Path, sop_class_uid: str) -> list[Judgement]:
    """Every installed tool's word on a DICOM file; a tool that is not installed says nothing."""
    judges = [dciodvfy] + ([dsrdump] if _WORKED_ON_REPORTS in sop_class_uid else [])
    return [told for each in judges if (told := each(path)) is not None]


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
