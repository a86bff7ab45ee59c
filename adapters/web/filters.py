"""The filter as the page shows it: choices with their counts, and the counts that are worth a button. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.web.catalogue import Texts
from adapters.web.presentation import Tone
from adapters.web.worklist_filter import FilterForm
from gateway.browsing import Facets
from gateway.case import CaseState
from gateway.result import Verdict
from gateway.study import Priority

_PRESSED = (("verdict", Verdict.PATHOLOGY, Tone.ALARM), ("verdict", Verdict.UNDETERMINED, Tone.CAUTION),
            ("state", CaseState.FAILED, Tone.CAUTION), ("state", CaseState.UNSUPPORTED, Tone.CAUTION),
            ("state", CaseState.ANALYSING, Tone.BUSY), ("verdict", Verdict.NORMAL, Tone.CALM))


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list to choose from. `value` "": any."""

    value: str
    label: str
    selected: bool


@dataclass(frozen=True, slots=True)
class Choices:
    name: str
    label: str
    options: tuple[Choice, ...]

    @property
    def narrowed(self) -> bool:
        return not self.options[0].selected


@dataclass(frozen=True, slots=True)
class Count:
    """A number that is a button: pressed, the list shows these only. `value`: FIELD:VALUE."""

    value: str
    label: str
    number: int
    tone: Tone
    pressed: bool


def choices(asked: FilterForm, facets: Facets, names: Mapping[str, str], t: Texts) -> tuple[Choices, ...]:
    """`names`: display of a finding's label."""
    told = asked.query()

    def listed(field: str, values: Iterable[str], label: Mapping[str, str]) -> Choices:
        return _choices(field, t(f"filter.{field}"), told.get(field, []), values, facets.get(field, {}), label, t)

    return (
        listed("modality", sorted(facets.get("modality", {})), {}),
        listed("verdict", Verdict, {v: t(v) for v in Verdict}),
        listed("state", CaseState, {s: t(f"state.{s}") for s in CaseState}),
        listed("finding", _by_name(facets.get("finding", {}), names), names),
        listed("priority", Priority, {p: t(f"priority.{p}") for p in Priority}),
        _choices("read", t("filter.read"), told.get("read", []), ("false", "true"), None,
                 {"false": t("filter.unread"), "true": t("filter.was_read")}, t))


def counts(asked: FilterForm, facets: Facets, t: Texts) -> tuple[Count, ...]:
    """Those that are not nought, and whatever is pressed."""
    told = asked.query()
    found = []
    for field, value, tone in _PRESSED:
        number = facets.get(field, {}).get(value, 0)
        pressed = told.get(field) == [value]
        if number or pressed:
            label = t(value) if field == "verdict" else t(f"word.{value}")
            found.append(Count(f"{field}:{value}", label, number, tone, pressed))
    return tuple(found)


def finding_names(items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Label → display, of all findings that worklist items tell, present or not."""
    return {f["code"]: f["display"] for item in items for f in item["findings"]}


def _by_name(found: Mapping[str, int], names: Mapping[str, str]) -> list[str]:
    return sorted(found, key=lambda label: names.get(label, label).casefold())


def _choices(field: str, label: str, chosen: Sequence[str], values: Iterable[str], found: Mapping[str, int] | None,
             names: Mapping[str, str], t: Texts) -> Choices:
    """Any; then what there is, and what is chosen; several chosen at once are one more line."""

    def named(value: str) -> str:
        return names.get(value, value)

    there = [v for v in map(str, values) if found is None or found.get(v) or v in chosen]
    listed = [*there, *(v for v in chosen if v not in there)]
    options = [Choice("", t("filter.any"), not chosen)]
    if len(chosen) > 1:
        options.append(Choice(",".join(chosen), ", ".join(map(named, chosen)), True))
    options += [Choice(v, named(v) if found is None else f"{named(v)} ({found.get(v, 0)})", list(chosen) == [v])
                for v in listed]
    return Choices(field, label, tuple(options))
