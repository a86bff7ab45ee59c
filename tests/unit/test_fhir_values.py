"""Units, dates, tokens, names and addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.content.datatypes import (
    compact,
    dicom_moment,
    fhir_date,
    full_url,
    human_names,
    issuer_system,
    moment,
    person_name,
    search_token,
)
from adapters.fhir.content.dates import date_range
from adapters.fhir.content.tokens import Token, parse_tokens
from adapters.fhir.content.units import is_unit
from gateway.errors import Unreadable


@pytest.mark.parametrize("unit", [
    "1", "%", "ms", "s", "mV", "uV", "mm", "cm", "mm2", "mm3", "cm3", "mL", "{H.B.}/min", "/min", "deg", "[hnsf'U]",
    "kg", "m/s2", "mg/dL", "10*3/uL", "mm[Hg]", "Cel", "dB", "s-1", "{score}", "g.m2", "kHz", "m2{body}"])
def test_ucum_units(unit: str) -> None:
    assert is_unit(unit)


@pytest.mark.parametrize("unit", ["", " ", "bpm", "sec", "HU", "percent", "mm^2", "m/", "/", "mm mm", "µm", "{", "}",
                                  "mm..s", "pixels", "{a}b", "kmin", "[nope]"])
def test_what_is_no_ucum_unit(unit: str) -> None:
    assert not is_unit(unit)


@given(st.text(st.sampled_from("mV/s.{}[]1-µ %'*x"), max_size=12))
def test_any_text_is_judged(unit: str) -> None:
    assert is_unit(unit) in (True, False)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(("value", "expected"), [
    ("2026-03-14", (("ge", utc(2026, 3, 14)), ("lt", utc(2026, 3, 15)))),
    ("eq2026", (("ge", utc(2026, 1, 1)), ("lt", utc(2027, 1, 1)))),
    ("2025-12", (("ge", utc(2025, 12, 1)), ("lt", utc(2026, 1, 1)))),
    ("gt2026-03-14", (("ge", utc(2026, 3, 15)),)),
    ("ge2026-03-14T10:00:00+03:00", (("ge", utc(2026, 3, 14, 7)),)),
    ("ge2026-03-14T10:00:00 03:00", (("ge", utc(2026, 3, 14, 7)),)),
    ("le2026-03-14T10:00:00Z", (("lt", utc(2026, 3, 14, 10, 0, 1)),)),
    ("lt2026-03-14T10:00Z", (("lt", utc(2026, 3, 14, 10)),)),
    ("le2026-03-14T10:00:00.5Z", (("lt", utc(2026, 3, 14, 10, 0, 0, 600_000)),)),
])
def test_dates_cover_what_is_written(value: str, expected: tuple[tuple[str, datetime], ...]) -> None:
    assert date_range(value, "x") == expected


@pytest.mark.parametrize("value", ["", "soon", "2026-13-01", "2026-02-30", "ne2026", "2026-03-14T25:00Z", "9999",
                                   "ge0000-01-01", "0001-01-01T00:00:00+14:00", "2026-03-14T10:00:00+99:00"])
def test_bad_dates_are_refused(value: str) -> None:
    with pytest.raises(Unreadable):
        date_range(value, "http._lastupdated")


def test_tokens() -> None:
    assert parse_tokens("a,b|c,|d,e|", "x") == (Token(None, "a"), Token("b", "c"), Token("", "d"), Token("e", ""))
    assert parse_tokens(r"a\,b\|c\\", "x") == (Token(None, r"a,b|c" + "\\"),)
    assert Token("", "d").matches({"value": "d"})
    assert not Token("", "d").matches({"system": "s", "value": "d"})
    assert Token("s", "").matches({"system": "s", "value": "d"})
    with pytest.raises(Unreadable):
        parse_tokens(",", "x")


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).map(str.strip).filter(bool))
def test_any_identifier_finds_itself(value: str) -> None:
    (token,) = parse_tokens(unquote(search_token("urn:oid:1.2", value)), "x")
    assert token.matches({"system": "urn:oid:1.2", "value": value})


@pytest.mark.parametrize("name", ["Ivanova^Anna^Petrovna^Dr.^PhD", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Single", "",
                                  "Иванова^Анна"])
def test_names_survive_both_ways(name: str) -> None:
    assert person_name(human_names(name)) == name


def test_names_that_are_text_alone() -> None:
    assert person_name([{"text": "Anna ^ Ivanova"}]) == "Anna   Ivanova"
    assert person_name([{"use": "old", "family": "Before"}, {"family": "After"}]) == "After"


def test_moments() -> None:
    assert moment(utc(2026, 3, 14, 9)) == "2026-03-14T09:00:00.000Z"
    assert moment(utc(2026, 7, 14, 9), "Europe/Berlin") == "2026-07-14T11:00:00.000+02:00"
    assert dicom_moment("20260314", "101500.25", "-0330", "UTC") == utc(2026, 3, 14, 13, 45, 0, 250_000)
    assert dicom_moment("2026", "10", "", "UTC") is None
    assert fhir_date("19611112") == "1961-11-12"
    assert fhir_date("1961") == ""


def test_addresses_are_stable() -> None:
    assert full_url("Patient", "a", "b") == full_url("Patient", "a", "b")
    assert full_url("Patient", "ab") != full_url("Patient", "a", "b")
    assert full_url("x").startswith("urn:uuid:")


def test_issuers() -> None:
    assert issuer_system("HOSP", "ours") == "ours"
    assert issuer_system("HOSP^1.2.3^ISO") == "urn:oid:1.2.3"


def test_compact_leaves_zeros_and_false() -> None:
    assert compact({"a": 0, "b": False, "c": "", "d": [None, {}], "e": {"f": []}}) == {"a": 0, "b": False}
