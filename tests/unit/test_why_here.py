"""Every reason that triage can give has words in every language of the site."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from adapters.web.catalogue import texts
from adapters.web.why_here import sentences
from gateway.settings import TriageSettings
from gateway.triage import Standing, explain
from tests.unit.test_triage import CASES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(CASES)
def test_every_reason_has_words(case: Standing) -> None:
    reasons = [{"code": r.code, "values": r.values} for r in explain(case, NOW, TriageSettings())]
    for language in ("en", "ru"):
        told = sentences(reasons, texts(language), NOW)
        assert len(told) == len(reasons)
        assert all(sentence.strip() and "{" not in sentence for sentence in told)


@pytest.mark.parametrize(("language", "said"), [
    ("en", "It waits for 3 h 05, 15 min are allowed: +0.30."), ("ru", "Ждёт 3 ч 05, отведено 15 мин: +0.30.")])
def test_waiting_is_told_in_hours_and_minutes(language: str, said: str) -> None:
    reason = {"code": "overdue", "values": {"since": "2026-03-01T08:55:00+00:00", "budget": 900.0, "boost": 0.3}}
    assert sentences([reason], texts(language), NOW) == (said,)
