"""How far it is: a line of text now and then, or a bar where the caller can draw one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
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


def track_results(progress: Progress, work: Callable[[T], R], items: Sequence[T], what: str, *,
                  threads: int = 2) -> Iterator[R]:
    """`work` of each item, in the items' order, by so many threads at once: decoding and inference let go of the
    interpreter, so two cores are kept busy. What one raises is raised here, and nothing new is begun."""
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(work, items)
        try:
            yield from track(progress, results, len(items), what)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
