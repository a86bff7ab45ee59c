"""How far a long command is: a bar on a terminal, lines elsewhere; both on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
_EVERY_SECONDS = 10.0
"""Between lines, where there is no bar."""


class TerminalProgress:
    """Called with a line it prints it; `track` passes items on and shows how many have passed."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def __call__(self, line: str) -> None:
        self._console.print(line, markup=False)

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        if not self._console.is_terminal:
            yield from _lines(items, total, what)
            return
        bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                       TimeRemainingColumn(), console=self._console, transient=True)
        with bar:
            task = bar.add_task(what, total=total)
            for item in items:
                yield item
                bar.advance(task)


def _lines(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    told = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if number == total or time.monotonic() - told >= _EVERY_SECONDS:
            told = time.monotonic()
            sys.stderr.write(f"{what}: {number} of {total}\n")
