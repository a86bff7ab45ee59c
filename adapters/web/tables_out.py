"""Tables for other programs: CSV (RFC 4180) that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> str:
    """Text that a spreadsheet would calculate gets an apostrophe before it; numbers and plain text stay."""
    if value is None:
        return ""
    text = str(value)
    dangerous = text.startswith(_FORMULA) and not isinstance(value, int | float)
    return f"'{text}" if dangerous else text


def csv_line(values: Sequence[Any]) -> str:
    """One line, with its end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([cell(value) for value in values])
    return out.getvalue()


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield csv_line(header)
    yield from map(csv_line, rows)
