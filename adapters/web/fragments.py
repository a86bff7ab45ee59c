"""Rendered once for all pages that show the same: parts of pages, kept until something changes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_MOST = 64


@dataclass(frozen=True, slots=True)
class Fragment:
    """`made_at`: POSIX time just before the rows were asked for."""

    body: bytes
    tag: str
    made_at: float


def fragment(body: bytes, made_at: float) -> Fragment:
    return Fragment(body, f'"{hashlib.sha256(body).hexdigest()[:24]}"', made_at)


class Fragments:
    """Thread-safe. Of those who ask for the same at once, one makes it and the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Hashable, Fragment]] = OrderedDict()

    def get(self, key: Hashable, version: Hashable | None, make: Callable[[], Fragment]) -> Fragment:
        """The fragment of that key as of that version. `version` None: nothing is kept."""
        if version is None:
            return make()
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != version:
                kept = (version, make())
                self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
            return kept[1]
