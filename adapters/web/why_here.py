"""Why a case stands where it does, in words: `gateway.triage.explain` for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from adapters.web.catalogue import Texts
from adapters.web.presentation import as_time, duration


def sentences(reasons: Iterable[Mapping[str, Any]], t: Texts, now: datetime) -> tuple[str, ...]:
    """`reasons`: {code, values} each, as in `CaseView.place_reasons`; one sentence for each, in the site's language."""
    return tuple(t(f"here.{reason['code']}", **_told(reason["values"], t, now)) for reason in reasons)


def _told(values: Mapping[str, Any], t: Texts, now: datetime) -> dict[str, Any]:
    told = dict(values)
    if "since" in told:
        told["waited"] = duration((now - as_time(told["since"])).total_seconds(), t)
        told["budget"] = duration(told["budget"], t)
    if "priority" in told:
        told["priority"] = t(f"priority.{told['priority']}")
    return told
