"""Long lists of ids, as many at a time as a statement takes: databases bound its variables and its length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def slices(items: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    return (items[start:start + size] for start in range(0, len(items), size))
