"""A document taken apart for looking at: names and values as a tree, read from the bytes that were sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One item. `code`: what a machine reads of it (`121071 DCM`, `OBX-5`), "" where there is nothing to add."""

    name: str
    value: str = ""
    code: str = ""
    children: tuple[Node, ...] = ()


TreeReader = Callable[[bytes], tuple[Node, ...]]
"""Raises Permanent where the bytes are no such document."""
