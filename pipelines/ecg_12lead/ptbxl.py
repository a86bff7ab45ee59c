"""PTB-XL as it lies on disk (WFDB records and `ptbxl_database.csv`): signals and truth for training and validation."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Unusable
from gateway.pipeline import Floats
from pipelines.ecg_12lead.labels import OUTPUTS

Progress = Callable[[str], None]
TRAINING, CALIBRATION, TEST = (1, 2, 3, 4, 5, 6, 7, 8), (9,), (10,)
"""`strat_fold`: a patient's records are all in one."""
AXES: dict[str, frozenset[str]] = {"LAD": frozenset({"LAD", "ALAD"}), "RAD": frozenset({"RAD", "ARAD"})}
_NAMES = {"AVR": "aVR", "AVL": "aVL", "AVF": "aVF"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `truth` float32 (12,) in the order of `OUTPUTS`: 1, 0, or NaN where nobody said (blank axis)."""

    record: str
    patient: str
    fold: int
    path: Path
    truth: NDArray[np.float32]


def truth_of(codes: dict[str, float], axis: str) -> NDArray[np.float32]:
    """A statement in `scp_codes` is positive whatever its likelihood; LAD and RAD come from `heart_axis`."""
    values = [(float(axis in AXES[name]) if axis else np.nan) if name in AXES else float(name in codes)
              for name in OUTPUTS]
    return np.array(values, dtype=np.float32)


def rows(data: Path, folds: tuple[int, ...] | None = None) -> list[Row]:
    """The table's rows of those `strat_fold`s (all: None). Raises Unusable where there is no such table."""
    table = data / "ptbxl_database.csv"
    if not table.is_file():
        raise Unusable("the folder has no ptbxl_database.csv: the PTB-XL layout is needed", element=table.name)
    with table.open(newline="", encoding="utf-8") as lines:
        found = [_row(data, line) for line in csv.DictReader(lines)]
    return [row for row in found if folds is None or row.fold in folds]


def _row(data: Path, line: dict[str, str]) -> Row:
    truth = truth_of(ast.literal_eval(line["scp_codes"]), line["heart_axis"].strip())
    return Row(line["ecg_id"], line["patient_id"], int(line["strat_fold"]), data / line["filename_hr"], truth)


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
