"""The pages as a browser without scripts gets them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from adapters.web.rendering import Renderer, safe_html
from gateway.settings import Settings, SiteSettings
from tests.web_fakes import LONG_NAME, World, serving, view

PATHOLOGY, RUNNING = f"{2:020x}", f"{11:020x}"
HTML = {"Accept": "text/html"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.app()) as url, httpx.Client(base_url=url, headers=HTML, trust_env=False) as asker:
        yield asker


def test_the_worklist_shows_every_row_in_the_given_order(client: httpx.Client, world: World) -> None:
    page = client.get("/").text
    places = [page.index(f'id="c-{row.case_id}"') for row in world.queries.rows]
    assert places == sorted(places)
    assert LONG_NAME.replace("^", " ") in page
    assert page.count(">DEMO<") == sum(row.demonstration for row in world.queries.rows)
    assert client.get("/fragments/worklist").text.count("<tr") == page.count("<tr")


def test_an_empty_worklist_says_where_to_send(client: httpx.Client, world: World) -> None:
    world.queries.rows = []
    assert "TRIAGE on 127.0.0.1:11112" in client.get("/").text


def test_pages_of_the_worklist(client: httpx.Client, world: World) -> None:
    world.queries.rows = [view(n, modality="CT") for n in range(1, 351)]
    first = client.get("/?modality=CT").text
    assert "1–100 of 350 studies" in first
    assert 'href="/?modality=CT&amp;cursor=100&amp;page=2" rel="next"' in first
    third = client.get("/?modality=CT&cursor=200&trail=100&page=3").text
    assert "201–300 of 350 studies" in third
    assert f'id="c-{201:020x}"' in third
    assert 'data-list="/fragments/worklist?modality=CT&amp;cursor=200&amp;trail=100&amp;page=3"' in third
    assert 'href="/?modality=CT&amp;cursor=300&amp;trail=100&amp;trail=200&amp;page=4" rel="next"' in third
    assert 'href="/?modality=CT&amp;cursor=100&amp;page=2" rel="prev"' in third
    assert '<a href="/?modality=CT">First page</a>' in third
    assert 'href="/?modality=CT" rel="prev"' in client.get("/?modality=CT&cursor=100&page=2").text


def test_not_ready_is_told_on_the_page(client: httpx.Client, world: World) -> None:
    world.health.parts["inference"] = "no model"
    assert "inference: no model" in client.get("/").text


def test_what_came_from_outside_is_escaped(client: httpx.Client, world: World) -> None:
    world.queries.rows = [view(1, patient_name="<script>alert(1)</script>", state="failed", error="<img src=x>")]
    for path in ("/", f"/cases/{1:020x}"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x>" not in page
        assert "&lt;script&gt;" in page


def test_the_case_page_tells_all(client: httpx.Client) -> None:
    page = client.get(f"/cases/{PATHOLOGY}").text
    for text in ("Петров Пётр Петрович", "Atrial fibrillation", "0.970", "0.410", "118/min", "Palpitations",
                 "/models/ecg_12lead", f"/api/cases/{PATHOLOGY}/picture.png", "status 0x0000", "0xA700",
                 f"/api/cases/{PATHOLOGY}/documents/oru", "Mark as read", "2.25.1002", "abababababababab"):
        assert text in page, text
    assert "data-follow" in page
    assert "P00002" not in str(client.get(f"/cases/{PATHOLOGY}").url)


def test_the_card_of_the_model_is_one_click_from_every_result_and_document(client: httpx.Client) -> None:
    for address in (f"/cases/{PATHOLOGY}", f"/cases/{PATHOLOGY}/documents/oru"):
        assert '<a href="/models/ecg_12lead">ecg_12lead' in client.get(address).text
    assert client.get("/models/ecg_12lead").status_code == 200


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8, 9, 10, 11, 17])
def test_what_is_no_plain_verdict_has_a_notice(client: httpx.Client, number: int) -> None:
    assert '<p class="banner">' in client.get(f"/cases/{number:020x}").text


def test_a_plain_normal_has_no_notice(client: httpx.Client) -> None:
    assert '<p class="banner' not in client.get(f"/cases/{12:020x}").text


def test_forms_order_and_lead_back(client: httpx.Client, world: World) -> None:
    for action in ("read", "replay"):
        answer = client.post(f"/cases/{PATHOLOGY}/{action}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{PATHOLOGY}")
    assert client.post(f"/cases/{RUNNING}/cancel").status_code == 303
    assert client.post("/deliveries/22/retry", data={"case_id": PATHOLOGY}).headers["location"] == f"/cases/{PATHOLOGY}"
    assert client.post("/deliveries/22/retry").headers["location"] == "/deliveries"
    assert client.post("/deliveries/22/retry", data={"case_id": "//evil.example"}).status_code == 404
    assert client.post("/deliveries/retry").status_code == 303
    assert [asked[0] for asked in world.commands.asked] == ["read", "replay", "cancel", "retry", "retry", "retry",
                                                           "retry_dead"]


def test_a_refused_form_is_a_page_with_the_sentence(client: httpx.Client) -> None:
    answer = client.post(f"/cases/{5:020x}/cancel")
    assert answer.status_code == 409
    assert "The case is reported already." in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert client.get("/cases/00").headers["content-type"].startswith("text/html")
    assert client.post(f"/cases/{PATHOLOGY}/explode").status_code == 404


def test_deliveries_by_state(client: httpx.Client) -> None:
    page = client.get("/deliveries?state=dead").text
    assert page.count("<tr>") == 2
    assert "/deliveries/22/retry" in page


def test_models_and_cards(client: httpx.Client) -> None:
    assert "hash" in client.get("/models").text
    page = client.get("/models/chest_ct").text
    assert "<th>a</th>" in page
    assert "Demonstration model, not for clinical use" in page
    assert client.get("/models/none").status_code == 404


def test_cards_hold_no_scripts_and_no_pictures_from_elsewhere() -> None:
    html = str(safe_html("<script>1</script> [x](javascript:alert(1)) ![i](http://e.org/i) [ok](https://e.org)"))
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "<img" not in html
    assert '<a href="https://e.org">ok</a>' in html


@pytest.mark.parametrize(("told", "shown"), [
    ("2026-01-05T07:30:15Z", "2026-01-05 10:30"), ("2026-01-05T10:30:15+03:00", "2026-01-05 10:30"),
    ("2026-01-05T10:30", "2026-01-05 10:30"), ("2026-01-05T22:30:00Z", "2026-01-06 01:30"),
    ("2026-01-05", "2026-01-05"), ("2026-01", "2026-01"), ("at noon on Monday", "at noon on Monday")])
def test_an_orders_time_is_shown_as_the_pages_other_times(told: str, shown: str) -> None:
    assert Renderer(Settings(site=SiteSettings(timezone="Europe/Moscow"))).placed(told) == shown


def test_the_case_page_shows_no_raw_time(client: httpx.Client, world: World) -> None:
    world.queries.order = {"accession_number": "A2", "placed_at": "2026-01-05T07:30:15+00:00"}
    assert "<dt>Placed</dt><dd>2026-01-05 07:30</dd>" in client.get(f"/cases/{PATHOLOGY}").text


def test_in_russian() -> None:
    world = World(Settings(site=SiteSettings(language="ru", timezone="Europe/Moscow")))
    with serving(world.app()) as url:
        page = httpx.get(url, trust_env=False).text
    assert '<html lang="ru">' in page
    assert "Патология" in page
    assert "Pathology" not in page
