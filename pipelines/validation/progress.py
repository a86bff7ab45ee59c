"""How far it is: a line of text now and then, or a bar where the caller can draw one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Progress = Callable[[str], None]
"""Called with a line. Where it has a method `track(items, total, what)`, that draws a bar."""


def silent(line: str) -> None:
    """Says nothing."""


def track(progress: Progress, items: Iterable[T], total: int, what: str, *, every: int = 500) -> Iterator[T]:
    """The items, told as they pass: by a bar, or by a line after every so many and at the end."""
    bar: Callable[[Iterable[T], int, str], Iterable[T]] | None = getattr(progress, "track", None)
    if bar is not None:
        yield from bar(items, total, what)
        return
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0 or number == total:
            progress(f"{what}: {number} of {total}")
