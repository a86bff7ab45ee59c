"""A hospital's own labelled data: a folder with a CSV that names each record, whose it is and what is true of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Unusable
from pipelines.validation.records import attributes

NAMES = ("labels.csv", "records.csv")
"""How the table of a folder is called."""
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "record": ("record", "path", "file", "filename", "name", "image", "volumename"),
    "patient": ("patient", "patient_id", "subject", "subject_id"), "age": ("age",), "sex": ("sex", "gender"),
    "device": ("device", "manufacturer", "filter"), "site": ("site", "hospital"),
    "fold": ("fold", "strat_fold", "split")}
_POSITIVE, _NEGATIVE = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})
_UNKNOWN = frozenset({"", "na", "nan", "none", "-1", "-1.0"})
_LARGEST = 200 * 1024**2
"""Bytes of a table."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `record`: as the table names it; `path`: where it should lie, nothing has looked yet. `patient`: the record's own
    name where the table has no such column. `truth`: label → 1.0 or 0.0; blank cells are absent. `place`: file and line
    for messages (`labels.csv, line 17`). `cells`: the whole line by column.
    """

    record: str
    path: Path
    patient: str
    truth: Mapping[str, float]
    place: str
    age: float | None = None
    sex: str = ""
    device: str = ""
    site: str = ""
    fold: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, str]:
        """For `Record.attributes`."""
        return attributes(age=self.age, sex=self.sex, device=self.device, site=self.site)

    def refused(self, why: str) -> Unusable:
        """What to raise where the record cannot be read: names file, line and record's column, and nobody."""
        return Unusable(f"{self.place}: {why}", element="record")


def find_table(data: Path, names: Sequence[str] = NAMES) -> Path | None:
    """The CSV itself, or the one in the folder under one of the usual names; None where there is none."""
    if data.suffix.lower() == ".csv" and data.is_file():
        return data
    return next((data / name for name in names if (data / name).is_file()), None)


def read_table(data: Path, labels: Sequence[str], *, names: Sequence[str] = NAMES,
               aliases: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of the table of `data` (a folder, or the CSV in it).

    Columns: `record` (or path, file, name, image; a path relative to the table), `patient` (or subject; records of one
    patient stay together), `age` (years), `sex`, `device`, `site`, `fold`, and for each of `labels` that is known a
    column of 1, 0 or blank. Names are compared without case; `aliases` gives other names of label columns (any of
    several makes a label positive). Separated by commas, semicolons or tabs, UTF-8. Raises Unusable, naming file, line
    and column.
    """
    table = find_table(data, names)
    if table is None:
        raise Unusable(f"there is no table of labels: {' or '.join(names)} in the folder, or a .csv, is needed",
                       element="data")
    lines = csv.DictReader(io.StringIO(_text(table)), dialect=_dialect(table))
    header = _header(table, lines.fieldnames or (), labels, aliases or {})
    rows = [_row(table, lines.line_num, header, {k: v or "" for k, v in line.items() if k})
            for line in lines if any(value for key, value in line.items() if key)]
    _check(table, rows)
    return rows


def _text(table: Path) -> str:
    if table.stat().st_size > _LARGEST:
        raise Unusable(f"{table.name} is too large for a table of labels", element=table.name)
    try:
        return table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{table.name} is no UTF-8 text: save it as CSV UTF-8", element=table.name) from error


def _dialect(table: Path) -> type[csv.Dialect]:
    with table.open(encoding="utf-8-sig") as lines:
        first = lines.readline()
    separator = max(",;\t", key=first.count)

    class Chosen(csv.excel):
        delimiter = separator

    return Chosen


@dataclass(frozen=True, slots=True)
class _Header:
    """`columns`: `record`, `patient`... → the column's own name. `labels`: label → the columns that stand for it."""

    columns: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]


def _header(table: Path, columns: Sequence[str], labels: Sequence[str], aliases: Mapping[str, str]) -> _Header:
    plain = {column.strip().lower(): column for column in columns if column}
    header = {what: plain[name] for what, names in _COLUMNS.items() for name in names[::-1] if name in plain}
    known = {label.lower(): label for label in labels} | {other.lower(): label for other, label in aliases.items()}
    told = {label: tuple(column for name, column in plain.items() if known.get(name) == label) for label in labels}
    told = {label: own for label, own in told.items() if own}
    if "record" not in header:
        raise Unusable(f"{table.name} has no column record (or path, file, name); it has {_told(columns)}",
                       element=table.name)
    if not told:
        raise Unusable(f"{table.name} has none of the columns {', '.join(labels)}; it has {_told(columns)}",
                       element=table.name)
    return _Header(header, told)


def _told(columns: Sequence[str]) -> str:
    return ", ".join(column for column in columns[:12] if column) or "no columns"


def _row(table: Path, number: int, header: _Header, line: dict[str, str]) -> Row:
    place = f"{table.name}, line {number}"
    cell = {what: line.get(column, "").strip() for what, column in header.columns.items()}
    record = cell["record"]
    if not record:
        raise Unusable(f"{place}: the column {header.columns['record']} is blank", element=header.columns["record"])
    told = {label: [_truth(line.get(column, "").strip(), place, column) for column in columns]
            for label, columns in header.labels.items()}
    known = {label: [value for value in values if value is not None] for label, values in told.items()}
    return Row(record, table.parent / record, cell.get("patient") or record,
               {label: max(values) for label, values in known.items() if values}, place,
               _age(cell.get("age", ""), place), cell.get("sex", ""), cell.get("device", ""), cell.get("site", ""),
               cell.get("fold", ""), line)


def _truth(text: str, place: str, label: str) -> float | None:
    plain = text.lower()
    if plain in _UNKNOWN:
        return None
    if plain in _POSITIVE | _NEGATIVE:
        return float(plain in _POSITIVE)
    raise Unusable(f"{place}: the column {label} is neither 1, 0 nor blank", element=label)


def _age(text: str, place: str) -> float | None:
    if text.lower() in _UNKNOWN:
        return None
    try:
        years = float(text.lower().removesuffix("y"))
    except ValueError:
        years = -1.0
    if not 0 <= years < 1000:
        raise Unusable(f"{place}: the column age is no number of years", element="age")
    return years


def _check(table: Path, rows: Sequence[Row]) -> None:
    if not rows:
        raise Unusable(f"{table.name} has no line beside its header", element=table.name)
    first: dict[str, str] = {}
    for row in rows:
        if row.record in first:
            raise Unusable(f"{row.place}: the record is there already, in {first[row.record]}", element="record")
        first[row.record] = row.place
