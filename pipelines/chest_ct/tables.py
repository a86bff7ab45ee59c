"""Labelled chest CTs: a table with this pipeline's own names of findings, or with CT-RATE's columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from gateway.errors import Unusable
from pipelines.chest_ct.labels import ABNORMAL, FINDINGS, OVERALL
from pipelines.validation.table import NAMES, Row, find_table, read_table

_CT_RATE = re.compile(r"^((?:train|valid|test)_\d+)_[a-z]+_\d+(?:\.nii(?:\.gz)?)?$")
"""CT-RATE's names of volumes: patient, scan, reconstruction."""


def read_labels(data: Path) -> list[Row]:
    """Rows of the table of `data`: the CSV itself, `labels.csv`, or the only CSV of the folder.

    Columns: see `pipelines.validation.table`; findings by the names of `labels.FINDINGS` or by CT-RATE's (where two
    columns stand for one finding, either makes it positive), and `abnormal`. Without that column a volume is abnormal
    when any finding is, and normal when all that are told are not. The patient of CT-RATE's volumes is in their name.
    Raises Unusable.
    """
    table = find_table(data, (*NAMES, *_only(data)))
    if table is None:
        raise Unusable("no labels.csv in the folder of volumes", element="labels.csv")
    labels = [*(finding.name for finding in FINDINGS), OVERALL.name]
    aliases = {column: finding.name for finding in FINDINGS for column in finding.columns}
    return [_whole(row) for row in read_table(table, labels, aliases=aliases)]


def _only(data: Path) -> tuple[str, ...]:
    tables = sorted(data.glob("*.csv")) if data.is_dir() else []
    return (tables[0].name,) if len(tables) == 1 else ()


def _whole(row: Row) -> Row:
    truth = dict(row.truth)
    if ABNORMAL not in truth and truth:
        truth[ABNORMAL] = max(truth.values())
    named = _CT_RATE.match(row.record)
    patient = named[1] if named and row.patient == row.record else row.patient
    return replace(row, truth=truth, patient=patient)
