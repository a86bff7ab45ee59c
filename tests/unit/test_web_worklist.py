"""What can be asked of the worklist over HTTP, and what never leaves it: a searched text in an address."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.web.catalogue import texts
from adapters.web.events import Changes
from adapters.web.filters import choices, counts
from adapters.web.fragments import Fragments, fragment
from adapters.web.schemas import CaseForm, CasePage, page_json
from adapters.web.server import HttpServer
from adapters.web.worklist_filter import FilterForm, ListForm, PageQuery, SearchForm, address
from gateway.case import CaseState
from gateway.errors import Transient
from gateway.ports import Page
from gateway.result import Verdict
from gateway.settings import HttpSettings
from gateway.views import MOST_VIEWS
from tests.web_fakes import World, serving, varied_rows, view

MOSCOW = ZoneInfo("Europe/Moscow")
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[World, httpx.Client]]:
    world = World()
    with serving(world.app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield world, client


@pytest.fixture
def world(shared: tuple[World, httpx.Client]) -> World:
    shared[0].queries.rows = varied_rows()
    shared[0].views.kept.clear()
    return shared[0]


@pytest.fixture
def client(shared: tuple[World, httpx.Client], world: World) -> httpx.Client:
    return shared[1]


# ---------------------------------------------------------------- what is asked


def test_days_are_the_sites_and_the_last_one_counts() -> None:
    where = FilterForm.model_validate({"received_from": "2026-01-05", "received_to": "2026-01-05"}).where(MOSCOW)
    assert where.received_from == datetime(2026, 1, 4, 21, tzinfo=UTC)
    assert where.received_to == datetime(2026, 1, 5, 21, tzinfo=UTC)
    told = FilterForm.model_validate(
        {"received_from": "2026-01-05T08:30:00", "received_to": "2026-01-05T09:00:00+01:00"})
    assert told.where(MOSCOW).received_from == datetime(2026, 1, 5, 5, 30, tzinfo=UTC)
    assert told.where(MOSCOW).received_to == datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize("value", ["2026-13-01", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31", "2026-1-1"])
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        FilterForm.model_validate({"received_to": value})


def test_several_values_and_blanks() -> None:
    form = FilterForm.model_validate({"modality": ["CT,MR", "US"], "verdict": [""], "state": "failed", "read": ""})
    where = form.where(MOSCOW)
    assert where.modality == {"CT", "MR", "US"}
    assert (where.verdict, where.state, where.read) == (frozenset(), {CaseState.FAILED}, None)


@given(st.fixed_dictionaries({}, optional={
    "modality": st.lists(st.sampled_from(["CT", "MR", "ECG", "a b&c=d"]), unique=True, min_size=1),
    "verdict": st.lists(st.sampled_from(list(Verdict)), unique=True, min_size=1), "read": st.booleans(),
    "received_from": st.dates(date(1990, 1, 1), date(2100, 1, 1))}))
def test_an_address_asks_for_the_same_again(asked: dict[str, Any]) -> None:
    form = FilterForm.model_validate(asked)
    again = httpx.URL("http://x" + address("/", form.query()))
    pairs = {name: again.params.get_list(name) for name in again.params}
    single = {name: values[0] if name in {"read", "received_from"} else values for name, values in pairs.items()}
    assert FilterForm.model_validate(single).where(MOSCOW) == form.where(MOSCOW)


def test_a_pressed_count_narrows_and_pressed_again_lets_go() -> None:
    form = ListForm.model_validate({"modality": ["CT"], "only": "verdict:pathology", "text": "a", "cursor": "7"})
    narrowed = form.pressed()
    assert (narrowed.query(), narrowed.text, narrowed.cursor) == (
        {"modality": ["CT"], "verdict": ["pathology"]}, "a", None)
    again = narrowed.model_copy(update={"only": "verdict:pathology"})
    assert again.pressed().query() == {"modality": ["CT"]}
    assert form.model_copy(update={"only": "patient:1"}).pressed().query() == {"modality": ["CT"]}


def test_nothing_personal_has_a_place_in_an_address() -> None:
    personal = {"text", "patient_id", "patient_issuer", "study_instance_uid"}
    assert not personal & PageQuery.model_fields.keys()
    assert personal <= SearchForm.model_fields.keys()
    assert not personal & SearchForm(text="a", patient_id="b").query().keys()


def test_choices_show_counts_and_what_is_chosen() -> None:
    facets = {"modality": {"CT": 3}, "verdict": {"pathology": 2}, "state": {"failed": 1}, "finding": {"AFIB": 2}}
    form = FilterForm.model_validate({"modality": ["MR", "US"], "state": ["failed"]})
    by_name = {choice.name: choice for choice in choices(form, facets, {"AFIB": "Atrial fibrillation"}, texts("en"))}
    assert [(o.value, o.label, o.selected) for o in by_name["modality"].options] == [
        ("", "any", False), ("MR,US", "MR, US", True), ("CT", "CT (3)", False), ("MR", "MR (0)", False),
        ("US", "US (0)", False)]
    assert by_name["finding"].options[1].label == "Atrial fibrillation (2)"
    assert by_name["modality"].narrowed
    assert not by_name["verdict"].narrowed
    assert [(c.value, c.number, c.pressed) for c in counts(form, facets, texts("en"))] == [
        ("verdict:pathology", 2, False), ("state:failed", 1, True)]


# ---------------------------------------------------------------- the API


def test_the_api_filters_counts_and_searches(client: httpx.Client, world: World) -> None:
    page = client.get("/api/worklist", params={"modality": "CT", "verdict": "pathology"}).json()
    assert [item["case_id"] for item in page["items"]] == [world.queries.rows[0].case_id]
    facets = client.get("/api/worklist/facets?modality=CT").json()
    assert facets["verdict"] == {"pathology": 1, "normal": 2}
    found = client.post("/api/worklist/search", json={"text": "петров", "limit": 5}).json()
    assert [item["patient_name"] for item in found["items"]] == ["Петров^Пётр^Петрович"]
    assert client.post("/api/worklist/search", json={"patient_id": "P00005"}).json()["total"] == 1


def test_a_list_says_what_its_schema_says() -> None:
    """It is written straight from the values: the same bytes as through the form that describes it."""
    missing = ({"lack": "count", "missing": 1, "of": 3, "series": ""},)
    rows = [replace(row, missing=missing) for row in varied_rows()]
    page = Page(tuple(rows), 7, "more")
    formed = CasePage(items=[CaseForm.of(row) for row in rows], total=7, next="more")
    assert json.loads(page_json(page)) == json.loads(formed.model_dump_json())
    assert {len(row.findings) > 0 for row in rows} == {True, False}


def test_the_api_says_nothing_new_in_few_bytes(client: httpx.Client, world: World) -> None:
    first = client.get("/api/worklist?state=failed")
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get("/api/worklist?state=failed", headers=known).status_code == 304
    world.queries.rows = [view(1, state="failed", verdict=None, findings=())]
    assert client.get("/api/worklist?state=failed", headers=known).status_code == 200


@pytest.mark.parametrize("query", ["modalty=CT", "verdict=sick", "limit=0", "text=ivanova", "received_from=now",
                                   "priority=now", "modality=" + "x" * 65, "read=perhaps"])
def test_a_filter_that_is_not_understood_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/api/worklist?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- the page


def test_the_form_of_a_filter_gets_an_address(client: httpx.Client) -> None:
    answer = client.post("/", data={"modality": "CT", "verdict": "", "text": " ", "received_from": "2026-01-05"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?modality=CT&received_from=2026-01-05")
    pressed = client.post("/", data={"modality": "", "only": "verdict:pathology"})
    assert pressed.headers["location"] == "/?verdict=pathology"


def test_a_searched_text_stays_in_the_body(client: httpx.Client) -> None:
    answer = client.post("/", data={"text": "Петров", "modality": "ECG"}, headers=HTML)
    assert answer.status_code == 200
    assert len(re.findall(r'<tr role="row" id=', answer.text)) == 1
    assert 'value="Петров"' in answer.text
    for target in re.findall(r'(?:href|action|data-list|data-place)="([^"]*)"', answer.text):
        assert "text" not in target
        assert "%D0" not in target
        assert "Петров" not in target


def test_fragments_hold_what_changes_and_are_not_sent_twice(client: httpx.Client, world: World) -> None:
    first = client.get("/fragments/worklist?modality=CT")
    assert first.text.count("<tr role") == 4
    assert "<html" not in first.text
    assert float(first.headers["x-as-of"]) > 0
    again = client.get("/fragments/worklist?modality=CT", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    found = client.post("/fragments/worklist", data={"text": "петров"})
    assert found.text.count("<tr role") == 2


def test_views_are_saved_without_text_and_by_owner(client: httpx.Client, world: World) -> None:
    asked = {"name": " Sick <b> ", "verdict": "pathology", "text": "Ivanova", "modality": ""}
    saved = client.post("/views", data=asked)
    assert (saved.status_code, saved.headers["location"]) == (303, "/?verdict=pathology")
    (kept,) = world.views.list("127.0.0.1")
    assert (kept.name, kept.query) == ("Sick <b>", {"verdict": ["pathology"]})
    page = client.get("/?verdict=pathology").text
    assert '<a href="/?verdict=pathology" aria-current="page">Sick &lt;b&gt;</a>' in page
    gone = client.post(f"/views/{kept.view_id}/delete", data={"modality": "CT"})
    assert gone.headers["location"] == "/?modality=CT"
    assert world.views.list("127.0.0.1") == ()


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb"])
def test_a_name_that_is_none_is_refused(client: httpx.Client, name: str) -> None:
    assert client.post("/views", data={"name": name}, headers=HTML).status_code == 422


def test_views_come_to_an_end(client: httpx.Client) -> None:
    statuses = [client.post("/views", data={"name": f"v{n}"}).status_code for n in range(MOST_VIEWS + 1)]
    assert statuses == [303] * MOST_VIEWS + [422]


def test_text_is_packed_and_pictures_are_not(client: httpx.Client) -> None:
    with client.stream("GET", "/") as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]
    assert len(packed) == int(answer.headers["content-length"])
    assert b"<html" in gzip.decompress(packed)
    assert "content-encoding" not in client.get("/", headers={"Accept-Encoding": "identity"}).headers
    assert "content-encoding" not in client.get(f"/api/cases/{1:020x}/picture.png").headers


# ---------------------------------------------------------------- notices


@pytest.mark.slow
def test_fifty_pages_hear_of_a_change_and_one_looks(world: World) -> None:
    looks = 0
    state = {"value": 0}

    def token() -> object:
        nonlocal looks
        looks += 1
        return state["value"]

    app = world.app()
    app.state.changes._token, app.state.changes._look_seconds = token, 0.05
    heard: list[str] = []
    opened, done = threading.Barrier(51), threading.Barrier(51)

    def listen(url: str) -> None:
        with httpx.stream("GET", f"{url}/events", timeout=30, trust_env=False) as answer:
            lines = answer.iter_lines()
            next(lines)
            opened.wait(30)
            heard.append(next(line for line in lines if line.startswith("event: ")))
            done.wait(30)

    with serving(app) as url:
        for _ in range(50):
            threading.Thread(target=listen, args=(url,), daemon=True).start()
        opened.wait(30)
        before, state["value"] = looks, 1
        done.wait(30)
    assert heard == ["event: change"] * 50
    assert looks - before < 50


def test_streams_end_when_the_server_stops(world: World) -> None:
    app = world.app()
    with serving(app) as url, httpx.stream("GET", f"{url}/events", timeout=30, trust_env=False) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry")
        app.state.changes.close()
        list(lines)
        assert httpx.get(f"{url}/events", trust_env=False).status_code == 503


def test_a_server_to_which_a_page_listens_stops(world: World) -> None:
    app = world.app()
    server = HttpServer(app, HttpSettings(port=0), app.state.changes.close)
    server.start()
    with httpx.stream("GET", f"http://127.0.0.1:{server.port}/events", timeout=30, trust_env=False) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.stop()
        assert not server.alive()
        list(lines)  # to its end: a stream that is cut off raises


async def test_a_database_that_does_not_answer_is_no_change() -> None:
    told: list[object] = [1, Transient("away"), Transient("away"), 1, 2]

    def token() -> object:
        value = told.pop(0) if told else 2
        if isinstance(value, Transient):
            raise value
        return value

    changes = Changes(token, 0.001)
    stream = changes.stream()
    assert changes.number is None
    assert (await anext(stream)).startswith("retry")
    assert await anext(stream) == "event: change\ndata: 1\n\n"
    assert changes.number == 1
    await stream.aclose()  # type: ignore[attr-defined]
    assert changes.number is None


def test_one_rendering_serves_all_who_ask_for_the_same() -> None:
    kept, made = Fragments(), []

    def make() -> Any:
        made.append(1)
        return fragment(json.dumps(made).encode(), 1.0)

    first = kept.get("a", 1, make)
    assert kept.get("a", 1, make) is first
    assert kept.get("a", 2, make).tag != first.tag
    kept.get("b", 2, make)
    assert len(made) == 3
    assert kept.get("a", None, make).body == b"[1, 1, 1, 1]"
