"""Port: what the gateway holds of studies, series and instances, its own results included, to be found and fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any, Protocol

from gateway.study import Instance, Tags


class Level(IntEnum):
    """Levels of the Study Root information model (PS3.4 C.6.2) that are held."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key (PS3.4 C.2.2.2): an attribute has one of `values`, or lies in `between`.

    `values` may hold the wildcards `*` and `?` where `wildcards`. `between` is inclusive, an empty end is open; values
    compare as DA, TM and DT are written. `name`: a person's name, compared without regard to case.
    `keyword`: DICOM keyword, or `Sequence.Keyword` for an attribute within a sequence.
    """

    keyword: str
    values: tuple[str, ...] = ()
    between: tuple[str, str] | None = None
    wildcards: bool = False
    name: bool = False


@dataclass(frozen=True, slots=True)
class HeldQuery:
    """A search at one level; `study` and `series` restrict it to one. All of `matching` must agree.

    `limit`: most results; `offset`: results passed over before.
    """

    level: Level
    study: str = ""
    series: str = ""
    matching: tuple[Match, ...] = ()
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """One result of a search.

    `tags`: of the (first) instance, patient and study as they stand now. `modalities`, `study_series` and
    `study_instances` are of the whole study, `series_instances` of the series. `path` is the (first) instance's file.
    """

    level: Level
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    tags: Tags
    modalities: tuple[str, ...]
    study_series: int
    study_instances: int
    series_instances: int
    path: str = ""
    made_here: bool = False
    """A result of ours."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search; `more`: there are further results behind it."""

    items: tuple[Held, ...]
    more: bool


class Holdings(Protocol):
    """What is held: received objects, and the SR, pictures and segmentations of each case's current run.

    Of objects that came twice under one UID with different content only the first is told. Read only.
    """

    def search(self, query: HeldQuery) -> Found: ...

    def instances(self, study: str, series: str = "", instance: str = "") -> tuple[Instance, ...]:
        """By series number and instance number, results last; empty where nothing of it is held."""
        ...

    def deleted_at(self, study: str) -> datetime | None:
        """When retention deleted files of that study (and nothing came since); None where it did not."""
        ...


Describe = Callable[[str], Tags]
"""Path of a DICOM file → its tags. Raises GatewayError or OSError."""


# ---------------------------------------------------------------- matching, as a pure function of the tags


def matches(tags: Tags, wanted: Iterable[Match]) -> bool:
    return all(_agrees(tags, match) for match in wanted)


def _agrees(tags: Tags, match: Match) -> bool:
    return any(_fits(text, match) for text in _texts(tags, match.keyword))


def _texts(tags: Tags, keyword: str) -> Iterator[str]:
    head, _, rest = keyword.partition(".")
    value = tags.get(head)
    values: Iterable[Any] = value if isinstance(value, list | tuple) else () if value is None else (value,)
    for one in values:
        if rest:
            if isinstance(one, Mapping):
                yield from _texts(one, rest)
        elif not isinstance(one, Mapping):
            yield f"{one:g}" if isinstance(one, float) else str(one)


def _fits(text: str, match: Match) -> bool:
    if match.between is not None:
        low, high = match.between
        return text >= low and (not high or text <= high or text.startswith(high))
    return any(_equal(text, value, match) for value in match.values)


def _equal(text: str, value: str, match: Match) -> bool:
    if match.name:
        # a name without its ideographic and phonetic groups names the same person
        return any(_pattern(value, True).fullmatch(told) for told in (text, text.partition("=")[0]))
    if match.wildcards and ("*" in value or "?" in value):
        return bool(_pattern(value, False).fullmatch(text))
    return text == value or _number(text) == _number(value) is not None


@lru_cache(maxsize=256)
def _pattern(value: str, caseless: bool) -> re.Pattern[str]:
    told = re.escape(value).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(told, (re.IGNORECASE if caseless else 0) | re.DOTALL)


def _number(text: str) -> float | None:
    """Of an integer or decimal string; UIDs, dates and ids with leading zeros are none."""
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d{0,8})(\.\d{1,6})?", text) else None
