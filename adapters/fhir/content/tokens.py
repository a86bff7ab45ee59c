"""Search by token (R4 3.1.1.4.10): `value`, `system|value`, `|value`, `system|`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.fhir.content.datatypes import Json, clean
from adapters.fhir.content.refusals import InvalidStructure


@dataclass(frozen=True, slots=True)
class Token:
    """`system` None: any system; "": no system. `value` "": any value."""

    system: str | None
    value: str

    def matches(self, identifier: Json) -> bool:
        if self.system is not None and clean(identifier.get("system")) != self.system:
            return False
        return not self.value or clean(identifier.get("value")) == self.value

    def among(self, identifiers: Iterable[Json]) -> bool:
        return any(self.matches(i) for i in identifiers)


def parse_tokens(text: str, element: str) -> tuple[Token, ...]:
    """Alternatives, separated by commas; a backslash escapes `,`, `|`, `$` and itself. Raises Unreadable."""
    tokens = tuple(_token(part) for part in _split(text, ","))
    if not all(token.value or token.system for token in tokens):
        raise InvalidStructure("The value is empty.", element=element)
    return tokens


def _token(text: str) -> Token:
    parts = _split(text, "|")
    if len(parts) == 1:
        return Token(None, _unescaped(parts[0]))
    return Token(_unescaped(parts[0]), _unescaped("|".join(parts[1:])))


def _split(text: str, separator: str) -> list[str]:
    parts = [""]
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL).strip()
