"""A fast reader of HL7 v2 messages (2.5.1 §2.5-2.7): what is not asked for is not taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from adapters.hl7.content.charset import Charsets, decode
from adapters.hl7.content.faults import DATA_TYPE, SEQUENCE, Location, UnreadableMessage

NULL = '""'
"""The explicit null: the value is to be deleted (2.5.1 §2.5.3). Read as empty."""
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_MARKS = re.compile(r"[!-/:-@\[-`{-~]+\Z")
"""ASCII punctuation."""
_HEX = re.compile(r"X(?:[0-9A-Fa-f]{2})+\Z")
_LAYOUT = re.compile(r"\.(?:br|sp\+?\d*|ce|fi|nf|in[+-]?\d*|ti[+-]?\d*|sk\+?\d*)\Z")
_LINE_ENDS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Separators(NamedTuple):
    """MSH-1, then the characters of MSH-2 in their order."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


class Element:
    """One repetition of a field: components and subcomponents by 1-based number, "" where absent."""

    __slots__ = ("_codec", "_components", "_separators", "text")

    def __init__(self, text: str, separators: Separators, codec: str) -> None:
        self.text = text
        self._separators = separators
        self._codec = codec
        self._components = text.split(separators.component)

    def get(self, component: int = 1, subcomponent: int = 1) -> str:
        """The unescaped value, trimmed; "" where absent or null."""
        value, marks = _nth(self._components, component), self._separators
        if subcomponent > 1 or marks.subcomponent in value:
            value = _nth(value.split(marks.subcomponent), subcomponent)
        return "" if value in ("", NULL) else unescape(value, marks, self._codec).strip()

    def whole(self) -> str:
        """The unescaped text with its components joined by blanks, for fields that people read."""
        parts = re.split(f"[{re.escape(self._separators.component + self._separators.subcomponent)}]", self.text)
        return " ".join(v for p in parts if p != NULL and (v := unescape(p, self._separators, self._codec).strip()))


class Segment:
    """One segment; `sequence` counts those of its name from 1. Fields by HL7's numbers (MSH-1 is the separator)."""

    __slots__ = ("_codec", "_elements", "_fields", "_separators", "_text", "name", "sequence")

    def __init__(self, name: str, text: str, separators: Separators, codec: str, sequence: int) -> None:
        self.name = name
        self.sequence = sequence
        self._text = text
        self._separators = separators
        self._codec = codec
        self._fields: list[str] | None = None
        self._elements: dict[int, Element] = {}

    @property
    def fields(self) -> list[str]:
        """The fields as they stand in the message, by their numbers; 0 is the segment's name."""
        if self._fields is None:
            self._fields = self._text.split(self._separators.field)
            if self.name == "MSH":
                self._fields.insert(1, self._separators.field)
        return self._fields

    def raw(self, field: int) -> str:
        """The field as it stands in the message, "" where absent."""
        fields = self.fields
        return fields[field] if field < len(fields) else ""

    def get(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """The unescaped value in the first repetition, trimmed; "" where absent or null."""
        fields = self._fields if self._fields is not None else self.fields
        if field >= len(fields) or not fields[field]:
            return ""
        return self.element(field).get(component, subcomponent)

    def element(self, field: int) -> Element:
        """The first repetition."""
        found = self._elements.get(field)
        if found is None:
            text = self.raw(field).split(self._separators.repetition, 1)[0]
            found = self._elements[field] = Element(text, self._separators, self._codec)
        return found

    def repetitions(self, field: int) -> list[Element]:
        """Every repetition that is not empty."""
        texts = self.raw(field).split(self._separators.repetition)
        return [Element(text, self._separators, self._codec) for text in texts if text and text != NULL]

    def at(self, field: int = 0) -> Location:
        """Where this segment's field stands, for an ERR segment."""
        return Location(self.name, field, self.sequence)


class Message:
    """A message: its segments in order (unknown ones included), the separators and the Python codec it came in."""

    __slots__ = ("codec", "segments", "separators")

    def __init__(self, segments: list[Segment], separators: Separators, codec: str) -> None:
        self.segments = segments
        self.separators = separators
        self.codec = codec

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        return (segment for segment in self.segments if segment.name == name)


def read(raw: bytes, charsets: Charsets | None = None) -> Message:
    """Take a message apart. Raises UnreadableMessage: no MSH, odd separators, wrong character set, a line that is
    no segment."""
    text, codec = decode(raw, charsets or Charsets())
    text = text.strip("\r\n\t ")
    separators = separators_of(text)
    segments: list[Segment] = []
    seen: dict[str, int] = {}
    for line in _lines(text):
        name = line.split(separators.field, 1)[0].rstrip()
        if not _NAME.match(name):
            raise UnreadableMessage("A line after segment " + (segments[-1].name if segments else "MSH")
                                    + " does not begin with a segment name.", segments[-1].at(), SEQUENCE)
        seen[name] = seen.get(name, 0) + 1
        segments.append(Segment(name, line, separators, codec, seen[name]))
    return Message(segments, separators, codec)


def separators_of(text: str) -> Separators:
    """MSH-1 and MSH-2. Raises UnreadableMessage where the text does not begin with a usable MSH."""
    if text[:3] != "MSH":
        raise UnreadableMessage("The message does not begin with an MSH segment.", Location("MSH", 1), SEQUENCE)
    first, marks = text[3:4], text[4:].split(text[3:4] or "|", 1)[0]
    every = first + marks
    if len(marks) not in (4, 5) or len(set(every)) != len(every) or not _MARKS.match(every):
        raise UnreadableMessage("MSH-2 must hold four different encoding characters.", Location("MSH", 2), DATA_TYPE)
    return Separators(first, *marks[:4])


def unescape(text: str, separators: Separators, codec: str = "utf_8") -> str:
    """Resolve escape sequences (2.5.1 §2.7); unknown ones stay as they are, highlighting is dropped."""
    if separators.escape not in text:
        return text
    plain = {"F": separators.field, "S": separators.component, "T": separators.subcomponent,
             "R": separators.repetition, "E": separators.escape, "P": "#", "H": "", "N": ""}

    def resolve(match: re.Match[str]) -> str:
        body = match[1]
        if body in plain:
            return plain[body]
        if _HEX.match(body):
            return _NOT_TEXT.sub("", bytes.fromhex(body[1:]).decode(codec, "replace"))
        return "\n" if _LAYOUT.match(body) else match[0]

    return _escapes(separators.escape).sub(resolve, text)


def escape(text: str, separators: Separators = Separators()) -> str:
    """Make a value safe for a message: separators escaped, line ends and other control characters made blanks."""
    named = {separators.escape: "E", separators.field: "F", separators.component: "S", separators.subcomponent: "T",
             separators.repetition: "R"}
    mark = separators.escape
    return "".join(f"{mark}{named[c]}{mark}" if c in named else c for c in _LINE_ENDS.sub(" ", text))


@lru_cache(maxsize=16)
def _escapes(mark: str) -> re.Pattern[str]:
    quoted = re.escape(mark)
    return re.compile(f"{quoted}([^{quoted}]{{1,512}}){quoted}")


def _nth(parts: list[str], number: int) -> str:
    """The number-th (1-based) part, "" where there are fewer."""
    return parts[number - 1] if number <= len(parts) else ""


def _lines(text: str) -> Iterator[str]:
    """Segments end with CR; CR LF, and LF alone where there is no CR at all, are tolerated."""
    separator = "\r" if "\r" in text else "\n"
    return (line for part in text.split(separator) if (line := part.strip("\n\r")))
