"""PTB-XL as it lies on disk (WFDB records and `ptbxl_database.csv`): signals and what was said of them."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Floats

Progress = Callable[[str], None]
_TOLD = {"ecg_id", "patient_id", "strat_fold", "filename_hr", "scp_codes", "heart_axis"}
_NAMES = {"AVR": "aVR", "AVL": "aVL", "AVF": "aVF"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `fold`: `strat_fold`; a patient's records are all in one. `codes`: SCP-ECG statement → likelihood.

    `axis`: `heart_axis` as it stands, blank where nobody said. `about`: the table's other columns, as text.

    `said`: of a hospital's own table, label → 1.0 or 0.0 (then there are no codes, and `about` are the groups).
    """

    record: str
    patient: str
    fold: int
    path: Path
    codes: Mapping[str, float]
    axis: str
    about: Mapping[str, str]
    said: Mapping[str, float] | None = None


def rows(data: Path, folds: tuple[int, ...] | None = None) -> list[Row]:
    """The table's rows of those `strat_fold`s (all: None). Raises Unusable where there is no such table."""
    table = data / "ptbxl_database.csv"
    if not table.is_file():
        raise Unusable("the folder has no ptbxl_database.csv: the PTB-XL layout is needed", element=table.name)
    with table.open(newline="", encoding="utf-8") as lines:
        found = [_row(data, line) for line in csv.DictReader(lines)]
    return [row for row in found if folds is None or row.fold in folds]


def _row(data: Path, line: dict[str, str]) -> Row:
    about = {name: value for name, value in line.items() if name not in _TOLD}
    return Row(line["ecg_id"], line["patient_id"], int(line["strat_fold"]), data / line["filename_hr"],
               ast.literal_eval(line["scp_codes"]), line["heart_axis"].strip(), about)


def read(path: Path) -> tuple[Floats, float, tuple[str, ...]]:
    """Signal (leads, samples) in mV, rate in Hz, lead names, of a WFDB record (path without suffix)."""
    import wfdb

    record = wfdb.rdrecord(str(path))
    leads = tuple(_NAMES.get(name.upper(), name) for name in record.sig_name)
    return np.ascontiguousarray(record.p_signal.T, dtype=np.float32), float(record.fs), leads


def signals(wanted: list[Row], progress: Progress) -> Iterator[tuple[Row, Floats, float, tuple[str, ...]]]:
    """Each row with its signal, rate and leads; says now and then how far it is."""
    for number, row in enumerate(wanted, 1):
        yield row, *read(row.path)
        if number % 500 == 0 or number == len(wanted):
            progress(f"read {number} of {len(wanted)} records")
