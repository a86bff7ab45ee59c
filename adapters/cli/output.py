"""Tables and sentences for the terminal. What came from outside is printed without control characters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.web.catalogue import Texts
from adapters.web.presentation import Line, Mark, Tone

TONES = {Tone.ALARM: "bold red", Tone.CAUTION: "bold yellow", Tone.CALM: "green", Tone.BUSY: "cyan", Tone.OFF: "dim"}
DELIVERIES = {"delivered": "green", "pending": "dim", "unproven": "yellow", "refused": "red", "dead": "bold red"}
PRIORITIES = {"stat": "bold red", "urgent": "bold", "routine": "dim"}
_BAR = 8
_FILE_WIDTH = 180


def say(text: str = "", style: str = "") -> None:
    """One line, as it is, wrapped by the terminal alone."""
    Console(highlight=False, soft_wrap=True).print(Text(plain(text), style))


def complain(text: str) -> None:
    """One line on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"Error: {plain(text)}", "red"))


def say_json(value: Any) -> None:
    """JSON for other programs: nothing is coloured or wrapped."""
    Console(highlight=False, soft_wrap=True, markup=False, color_system=None).print(
        Text(json.dumps(value, ensure_ascii=False, indent=2)))


def plain(text: str) -> str:
    """Without control characters, which a terminal would obey; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def cell(text: Any, style: str = "") -> Text:
    return Text(plain("" if text is None else str(text)), style)


def _wide() -> Console:
    """The terminal; into a file or a pipe, wide enough for every column."""
    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=_FILE_WIDTH)


def table(columns: Iterable[str], rows: Iterable[Sequence[Any]], right: Iterable[str] = ()) -> None:
    """Print rows; a cell is text of any kind, or a rich Text as it is."""
    numeric = set(right)
    grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    _wide().print(grid)


def worklist_table(lines: Iterable[Line], t: Texts) -> None:
    """The page's columns in the page's order."""
    columns = [t(f"col_{name}") for name in ("risk", "verdict", "found", "patient", "modality", "priority", "waiting",
                                             "state", "deliveries")]
    table(columns, (_row(line, t) for line in lines))


def _row(line: Line, t: Texts) -> tuple[Text, ...]:
    tone = TONES[line.tone]
    found = ", ".join(line.found) + (f" +{line.more}" if line.more else "")
    who = "\n".join((line.patient, " · ".join(part for part in (line.patient_id, line.age_sex) if part)))
    return (_bar(line, tone), _verdict(line, t, tone), cell("\n".join(part for part in (found, line.why) if part)),
            cell(who, "dim" if line.read else ""), cell(line.modality),
            cell(line.priority_word, PRIORITIES[line.priority]), cell(line.waiting), cell(line.state_word),
            dots(line.deliveries))


def _bar(line: Line, style: str) -> Text:
    if line.risk is None:
        return Text(line.risk_text.rjust(_BAR + 5), "dim")
    filled = round(line.risk * _BAR)
    return Text("█" * filled, style) + Text("·" * (_BAR - filled) + " ", "dim") + Text(line.risk_text, style)


def _verdict(line: Line, t: Texts, style: str) -> Text:
    told = Text(f"{line.symbol} {line.word}", style)
    for badge in line.badges:
        told += Text(f"\n{badge}", "yellow")
    return told + Text(f"\n{t('demo')}", "reverse") if line.demonstration else told


def dots(marks: Iterable[Mark]) -> Text:
    return Text(" ").join(Text(mark.symbol, DELIVERIES[mark.state]) for mark in marks)


def pairs(rows: Mapping[str, Any]) -> None:
    """Names and values, one to a line; empty values are left out."""
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        if value not in (None, ""):
            grid.add_row(Text(name, "dim"), value if isinstance(value, Text) else cell(value))
    _wide().print(grid)
