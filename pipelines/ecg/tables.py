"""Labelled ECGs, as PTB-XL or a hospital's own table (`labels.csv`) lists them: a row each, and how it is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.errors import Rejected, Unusable
from gateway.pipeline import Ecg, Floats
from gateway.ports.recordings import Recordings
from pipelines.ecg.ptbxl import Row, read, rows
from pipelines.validation.table import Row as TableRow
from pipelines.validation.table import find_table, read_table

FOLDS = 10
"""Into so many parts the patients of a table without a column `fold` fall."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """`open` raises Unusable, naming the line of a hospital's table."""

    rows: list[Row]
    open: Callable[[Row], Ecg]


def labelled(data: Path, labels: Sequence[str], folds: tuple[int, ...] | None,
             recordings: Recordings | None) -> Labelled:
    """The rows under `data` of those folds (all: None). Raises Unusable without a table, and where no row is left."""
    if recordings is None or (data / "ptbxl_database.csv").is_file() or find_table(data) is None:
        found = Labelled(rows(data, folds or None), _loaded)
    else:
        found = _of_a_hospital(data, labels, folds, recordings)
    if not found.rows:
        raise Unusable("no record of those folds is in the table", element="fold")
    return found


def _loaded(row: Row) -> Ecg:
    signal, rate, leads = read(row.path)
    return Ecg(signal, rate, leads, row.record, ())


def _of_a_hospital(data: Path, labels: Sequence[str], folds: tuple[int, ...] | None,
                   recordings: Recordings) -> Labelled:
    table = {row.record: row for row in read_table(data, labels)}

    def opened(row: Row) -> Ecg:
        try:
            return recordings.ecg(row.path)
        except Rejected as refusal:
            raise table[row.record].refused(refusal.reason) from refusal

    every = [_as_row(row) for row in table.values()]
    return Labelled([row for row in every if not folds or row.fold in folds], opened)


def _as_row(row: TableRow) -> Row:
    return Row(row.record, row.patient, fold_of(row), row.path, {}, "", row.attributes, row.truth)


def fold_of(row: TableRow) -> int:
    """What the table says, else 1 to 10 by the patient: the same in every table that has the patient."""
    if row.fold.isdecimal():
        return int(row.fold)
    return 1 + int.from_bytes(hashlib.sha256(row.patient.encode()).digest()[:4], "big") % FOLDS


def said(row: Row, outputs: Sequence[str], auxiliary: int) -> Floats:
    """What a hospital's table says of a record as float32 (outputs + auxiliary,): NaN where it says nothing."""
    told: Mapping[str, float] = row.said or {}
    return np.array([*(told.get(name, np.nan) for name in outputs), *[np.nan] * auxiliary], np.float32)


def must_be_told(truth: Floats, outputs: Sequence[str]) -> None:
    """Raises Unusable where an output has no positive or no negative record: it would be served without having been
    learned. `truth` (records, outputs...)."""
    lacking = [name for at, name in enumerate(outputs)
               if not {0.0, 1.0} <= {float(value) for value in truth[:, at] if not np.isnan(value)}]
    if lacking:
        raise Unusable(f"the table needs records with 1 and with 0 for each of {', '.join(outputs)}; "
                       f"it has not both for {', '.join(lacking)}", element=lacking[0])
