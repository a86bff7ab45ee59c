"""Why a case stands where it does, in words: `gateway.triage.explain` for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.web.catalogue import Texts
from adapters.web.presentation import duration

_TIMES = frozenset({"waited", "budget"})


def sentences(reasons: Iterable[Mapping[str, Any]], t: Texts) -> tuple[str, ...]:
    """`reasons`: {code, values} each, as in `CaseView.place_reasons`; one sentence for each, in the site's language."""
    return tuple(t(f"here.{reason['code']}", **_told(reason["values"], t)) for reason in reasons)


def _told(values: Mapping[str, Any], t: Texts) -> dict[str, Any]:
    told = {name: duration(value, t) if name in _TIMES else value for name, value in values.items()}
    if "priority" in told:
        told["priority"] = t(f"priority.{told['priority']}")
    return told
