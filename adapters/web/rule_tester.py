"""Which rule takes a file, and why each other does not. Nothing is kept, and nothing but words comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from fastapi import UploadFile

from adapters.web.archive import Member
from adapters.web.sayings import said
from adapters.web.uploads import Door, Turns
from gateway.errors import Rejected
from gateway.explaining import Explained

_MOST_LEFT_OUT = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """`rules`: (rule, taken, reason) in the order in which they are tried. `left_out`: (file, reason) each.

    `refusal`: why there is nothing to judge; then the rest is empty.
    """

    rules: tuple[tuple[str, bool, str], ...] = ()
    note: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class RuleTester:
    """`door`: what uploads go through, of which only the reading is used here."""

    door: Door
    explain: Callable[[Iterable[bytes]], Explained]
    language: str
    turns: Turns

    @property
    def accepted(self) -> str:
        return self._worded(self.door.convert.accepted)

    def judge(self, uploads: Sequence[UploadFile]) -> Judged:
        """The first study of the upload, by all its objects. Raises Transient where other uploads take too long."""
        left_out: list[tuple[str, str]] = []
        with self.turns.one():
            try:
                objects = self._objects(self.door.objects(uploads), left_out)
                first = next(objects, None)
                explained = None if first is None else self.explain(chain([first], objects))
            except Rejected as error:
                return Judged(left_out=tuple(left_out), refusal=self._worded(error.reason))
        if explained is None:
            why = left_out[0][1] if left_out else self._worded("There is no file to read.")
            return Judged(left_out=tuple(left_out[1:]), refusal=why)
        rules = tuple((name, taken, self._worded(reason)) for name, taken, reason in explained.rules)
        return Judged(rules, self._worded(explained.note), tuple(left_out))

    def _objects(self, found: Iterator[Member], left_out: list[tuple[str, str]]) -> Iterator[bytes]:
        for member in found:
            if not member.reason:
                yield bytes(member.content)
            elif len(left_out) < _MOST_LEFT_OUT:
                left_out.append((member.name, self._worded(member.reason)))

    def _worded(self, text: str) -> str:
        return said(text, self.language)
