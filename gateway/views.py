"""Saved views of the worklist: a name for a filter. Never a text that was searched for, nor a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

LONGEST_NAME = 60
MOST_VIEWS = 30
"""Of one owner."""


@dataclass(frozen=True, slots=True)
class SavedView:
    """`query`: field of the filter → its values as the address of the list writes them."""

    view_id: int
    name: str
    query: Mapping[str, Sequence[str]]


class SavedViews(Protocol):
    def list(self, owner: str) -> tuple[SavedView, ...]:
        """By name."""
        ...

    def save(self, owner: str, name: str, query: Mapping[str, Sequence[str]]) -> None:
        """A view of the same name is replaced. Raises Unusable where the owner has `MOST_VIEWS` already."""
        ...

    def delete(self, owner: str, view_id: int) -> None:
        """Nothing happens where the owner has no such view."""
        ...
