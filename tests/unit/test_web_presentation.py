"""How a row reads: nothing that is not a whole, current, normal study may look like one."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import pytest

from adapters.web.catalogue import ENGLISH, RUSSIAN, STRINGS, texts
from adapters.web.presentation import SYMBOLS, Tone, age_sex, duration, line, person_name, proof, tone_of
from adapters.web.schemas import CaseForm
from gateway.case import CaseState, Completeness
from gateway.delivery import DeliveryState, Kind
from gateway.study import Priority
from tests.web_fakes import AFIB, NOW, view

EN = texts("en")


def form(**changes: Any) -> dict[str, Any]:
    return CaseForm.of(view(5, **changes)).model_dump()


def test_calm_is_only_a_reported_whole_coherent_normal() -> None:
    for state, verdict, completeness, conflict in itertools.product(
            CaseState, ("normal", "pathology", "undetermined", None), Completeness, (True, False)):
        told = line(form(state=state, verdict=verdict, completeness=completeness, conflict=conflict), EN, NOW)
        plain = (state == "reported" and verdict == "normal" and completeness != "partial" and not conflict)
        assert (told.tone is Tone.CALM) is plain
        assert (told.word == EN("normal")) is plain
        assert (told.symbol == SYMBOLS[Tone.CALM]) is plain
        assert plain or verdict == "pathology" or told.word not in {EN("normal"), EN("pathology")}


def test_pathology_stays_an_alarm_while_it_is_read_again() -> None:
    for state in set(CaseState) - {CaseState.CANCELLED}:
        assert tone_of(form(state=state, verdict="pathology")) is Tone.ALARM


def test_every_tone_has_its_own_shape() -> None:
    assert len(set(SYMBOLS.values())) == len(Tone)


def test_an_earlier_normal_is_told_as_earlier_and_its_risk_is_not_shown() -> None:
    told = line(form(state="waiting", verdict="normal"), EN, NOW)
    assert (told.why, told.risk, told.risk_text) == ("earlier result: normal", None, "–")


def test_nothing_looked_at_has_no_risk() -> None:
    told = line(form(verdict="undetermined", findings=()), EN, NOW)
    assert (told.risk, told.risk_text) == (None, "–")
    assert line(form(verdict="undetermined", findings=(AFIB,)), EN, NOW).risk is not None


def test_found_names_the_present_findings_most_probable_first() -> None:
    findings = tuple(AFIB | {"code": str(n), "display": f"F{n}", "probability": p, "present": p > 0.5}
                     for n, p in enumerate((0.6, 0.9, 0.2, 0.7, 0.8, 0.65)))
    told = line(form(verdict="pathology", findings=findings), EN, NOW)
    assert (told.found, told.more) == (("F1", "F4", "F3", "F5"), 1)


@pytest.mark.parametrize(("changes", "why"), [
    ({"state": "failed", "verdict": None, "error": "The server is gone."}, "The server is gone."),
    ({"verdict": "undetermined", "problems": ({"code": "x", "text": "Flat leads."},)}, "Flat leads."),
    ({"completeness": "partial"}, "The study is incomplete"), ({"conflict": True}, ENGLISH["conflict_long"]),
    ({"state": "unsupported", "verdict": None}, "Not analysed to the end: this is not a normal result"),
    ({}, "nothing found"), ({"verdict": "pathology"}, "")])
def test_why(changes: dict[str, Any], why: str) -> None:
    assert line(form(**changes), EN, NOW).why == why


@pytest.mark.parametrize(("name", "shown"), [
    ("Ivanova^Anna^^Dr", "Dr Ivanova Anna"), ("=山田^太郎=やまだ^たろう", "山田 太郎"), ("", ""), ("^^^", ""),
    ("Петров^Пётр^Петрович=Petrov^Petr", "Петров Пётр Петрович")])
def test_person_names(name: str, shown: str) -> None:
    assert person_name(name) == shown


@pytest.mark.parametrize(("birth_date", "sex", "shown"), [
    ("19590214", "F", "67 y · F"), ("20260105", "M", "10 mo · M"), ("", "O", "O"), ("19001301", "", ""),
    ("20990101", "M", "M"), ("19591122", "", "66 y")])
def test_age_and_sex(birth_date: str, sex: str, shown: str) -> None:
    assert age_sex(birth_date, sex, date(2026, 11, 21), EN) == shown


@pytest.mark.parametrize(("time", "shown"), [
    (timedelta(seconds=59), "< 1 min"), (timedelta(minutes=59), "59 min"), (timedelta(hours=3, minutes=5), "3 h 05"),
    (timedelta(hours=50), "2 d 2 h")])
def test_waiting_times(time: timedelta, shown: str) -> None:
    assert duration(time.total_seconds(), EN) == shown


@pytest.mark.parametrize("language", STRINGS)
def test_every_state_and_kind_has_its_word_in_each_language(language: str) -> None:
    t = texts(language)
    for group, values in (("state", CaseState), ("priority", Priority), ("delivery", DeliveryState), ("kind", Kind),
                          ("about", Kind), ("completeness", Completeness)):
        assert all(t(f"{group}.{value}") for value in values)
    assert ENGLISH.keys() == RUSSIAN.keys()


def test_a_proof_tells_the_different_values_of_a_list_once() -> None:
    receipt = {"http_status": 200, "statuses": ["201 Created"] * 18 + ["200 OK"], "locations": list("abcde"),
               "sha256": "ab" * 32, "foreign_acknowledgements": 0, "of_old": "x"}
    assert proof(receipt, EN) == [("HTTP status", "200"), ("entries", "18 × 201 Created, 200 OK"),
                                  ("resources", "a … (5)"), ("SHA-256", "ab" * 8 + "…"), ("of_old", "x")]
    assert proof({"http_status": 200}, texts("ru")) == [("статус HTTP", "200")]
