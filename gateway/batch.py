"""Many records read at once: what became of each, as a table, and filled into somebody's own table. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from gateway.errors import Unusable

RECORD_COLUMNS = ("record", "record_name", "path", "file", "filename", "file_name", "filename_hr", "name", "id")
"""Headings, in this order, under which a table names records; else its first column does."""
FIXED = ("record", "state", "reason", "pipeline", "verdict", "risk", "demonstration")
_MOST_ROWS = 200_000


class RecordState(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """The record itself: damaged, of no kind that is read, not there."""
    FAILED = "failed"
    """The reading: models out of reach, a fault of the reader."""


class Fill(StrEnum):
    """What is put under a label: its probability, or 1 where it reaches its threshold and 0 where not."""

    PROBABILITY = "probability"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class RecordResult:
    """`findings`: {label, display, probability, threshold, present} each."""

    record: str
    state: RecordState
    reason: str = ""
    pipeline: str = ""
    verdict: str = ""
    risk: float | None = None
    demonstration: bool | None = None
    findings: tuple[Mapping[str, Any], ...] = ()
    summary: str = ""
    problems: tuple[Mapping[str, str], ...] = ()
    labels: Mapping[str, Mapping[str, Any]] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", {str(finding["label"]): finding for finding in self.findings})


def labels_of(results: Iterable[RecordResult]) -> tuple[str, ...]:
    """Every label of every reader, in the order in which they came up."""
    return tuple(dict.fromkeys(label for result in results for label in result.labels))


def table(results: Iterable[RecordResult], labels: Sequence[str]) -> Iterator[list[object]]:
    """One row for each record: `FIXED`, then one column for each label with its probability."""
    for result in results:
        told = [getattr(result, name) for name in FIXED]
        yield [*(str(value) if isinstance(value, StrEnum) else value for value in told),
               *(result.labels[label]["probability"] if label in result.labels else None for label in labels)]


# ---------------------------------------------------------------- tables of others


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as somebody wrote it. `names`: place of the column that names records."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int
    delimiter: str
    line_end: str

    def records(self) -> tuple[str, ...]:
        """What the rows call their records, "" where a row names none."""
        return tuple(row[self.names].strip() if self.names < len(row) else "" for row in self.rows)


def read_table(content: bytes) -> Table:
    """Raises Unusable: not UTF-8, no heading, no rows, too many, not CSV."""
    try:
        text = content.decode("utf-8-sig")
        first = text.splitlines()[0] if text.strip() else ""
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unusable("The table is no CSV in UTF-8.", element="csv") from error
    if len(rows) < 2 or not any(cell.strip() for cell in rows[0]) or len(rows) > _MOST_ROWS or "\0" in text:
        raise Unusable(f"The table needs a heading and rows, {_MOST_ROWS} at most.", element="csv")
    header = tuple(rows[0])
    known = [name.strip().casefold() for name in header]
    names = next((known.index(name) for name in RECORD_COLUMNS if name in known), 0)
    return Table(header, tuple(map(tuple, rows[1:])), names, delimiter, "\r\n" if "\r\n" in text else "\n")


def fill(sample: Table, results: Iterable[RecordResult], put: Fill) -> str:
    """The table again, with what is known of the records it names.

    A column is filled where its heading is a label, or `verdict`, `risk`, `pipeline`; order and other columns stay, and
    so does every row without a record that was read. Raises Unusable where no heading is any of these.
    """
    found = by_name(result for result in results if result.state is RecordState.DONE)
    wanted = [heading.strip().casefold() for heading in sample.header]
    known = {label.casefold() for result in found.values() for label in result.labels} | {"verdict", "risk", "pipeline"}
    if found and not known & {name for place, name in enumerate(wanted) if place != sample.names}:
        raise Unusable("No column of the sample is a label that was looked for; the labels are "
                       f"{', '.join(labels_of(found.values()))}.", element="sample")
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sample.delimiter, lineterminator=sample.line_end)
    writer.writerow(sample.header)
    for row, name in zip(sample.rows, sample.records(), strict=True):
        result = found.get(_plain(name)) or found.get(_stem(name))
        writer.writerow(row if result is None else _filled(row, wanted, sample.names, result, put))
    return out.getvalue()


def _filled(row: Sequence[str], wanted: Sequence[str], names: int, result: RecordResult, put: Fill) -> list[str]:
    values = {label.casefold(): _value(finding, put) for label, finding in result.labels.items()}
    values |= {"verdict": result.verdict, "risk": f"{result.risk:.6g}" if result.risk is not None else "",
               "pipeline": result.pipeline}
    padded = [*row, *[""] * (len(wanted) - len(row))]
    return [values.get(wanted[place], cell) if place < len(wanted) and place != names else cell
            for place, cell in enumerate(padded)]


def _value(finding: Mapping[str, Any], put: Fill) -> str:
    return str(int(finding["present"])) if put is Fill.PRESENT else f"{finding['probability']:.6g}"


def by_name(results: Iterable[RecordResult]) -> dict[str, RecordResult]:
    """Records by every name they may be called by: path, path without ending, and file name where only one has it."""
    given = list(results)
    stems = Counter(_stem(result.record) for result in given)
    named = {_stem(result.record): result for result in given if stems[_stem(result.record)] == 1}
    return named | {_plain(result.record): result for result in given}


def _plain(name: str) -> str:
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return str(path.with_name(_bare(path.name))) if path.name else ""


def _stem(name: str) -> str:
    return _bare(PurePosixPath(name.strip().replace("\\", "/")).name)


def _bare(name: str) -> str:
    """Without the endings that records have; a name may hold other dots."""
    for ending in (".gz", ".hea", ".dat", ".mat", ".npy", ".dcm", ".xml", ".nii", ".zip", ".png", ".jpg", ".jpeg"):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[:-len(ending)]
    return name
