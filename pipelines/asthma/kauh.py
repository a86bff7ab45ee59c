"""The layout of KAUH's lung sounds (`wav/` and `recordings.csv`): sounds and truth for training and validation."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.audio import Audio
from gateway.errors import Unusable
from gateway.ports.recordings import Recordings
from pipelines.asthma.labels import OUTPUTS
from pipelines.validation.progress import Progress, track

_COLUMNS = ("file", "subject", "diagnosis", "sound")


@dataclass(frozen=True, slots=True)
class Row:
    """One file. `truth`: label → 1.0 or 0.0. `person`: equal for subjects who may be one and the same (same diagnosis,
    age and sex): they are kept in one fold."""

    name: str
    path: Path
    subject: str
    person: str
    filter: str
    diagnosis: str
    location: str
    age: float
    sex: str
    truth: dict[str, float]

    @property
    def vector(self) -> NDArray[np.float32]:
        """(4,) in the order of `OUTPUTS`."""
        return np.array([self.truth.get(name, np.nan) for name in OUTPUTS], dtype=np.float32)


def truth_of(diagnosis: str, sound: str) -> dict[str, float]:
    """Asthma wherever the diagnosis names it, abnormal wherever it is another than normal; wheezes and crackles as the
    physicians heard them (W; C and Crep), left out where nobody wrote down what was heard."""
    words = set(sound.lower().split())
    told = {"asthma": float("asthma" in diagnosis.lower()),
            "abnormal": float(diagnosis.strip().lower() not in ("normal", "n"))}
    if words:
        told |= {"wheeze": float("w" in words), "crackles": float(bool(words & {"c", "crep"}))}
    return told


def rows(data: Path) -> list[Row]:
    """The rows of `recordings.csv`. Raises Unusable where there is no such table or it lacks columns."""
    table = data / "recordings.csv"
    if not table.is_file():
        raise Unusable("the folder has no recordings.csv: a folder with wav/ and recordings.csv is needed",
                       element=table.name)
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in _COLUMNS[:3] if name not in (reader.fieldnames or ())]
        if missing:
            raise Unusable(f"recordings.csv lacks the columns {', '.join(missing)}", element=missing[0])
        found = [_row(data, line) for line in reader]
    if not found:
        raise Unusable("recordings.csv names no recording", element=table.name)
    return found


def _row(data: Path, line: dict[str, str]) -> Row:
    told = {key: (value or "").strip() for key, value in line.items() if key}
    age = told.get("age", "")
    person = " ".join((told["diagnosis"].lower(), age, told.get("sex", ""))) if age else told["subject"]
    return Row(told["file"], data / "wav" / told["file"], told["subject"], person, told.get("filter", ""),
               told["diagnosis"], told.get("location", ""), float(age) if age else float("nan"), told.get("sex", ""),
               truth_of(told["diagnosis"], told.get("sound", "")))


def sounds(wanted: list[Row], recordings: Recordings, progress: Progress) -> Iterator[tuple[Row, Audio]]:
    """Each row with its sound. Raises Unusable where a file is missing or damaged."""
    for row in track(progress, wanted, len(wanted), "recordings", every=60):
        yield row, recordings.audio(row.path)
