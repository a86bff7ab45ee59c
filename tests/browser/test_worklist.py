"""The worklist in a real browser: live without jumping, by keyboard, filtered, searched in private, saved, paged."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PIL import ImageChops
from playwright.sync_api import Page, Response, Route, expect

from gateway.study import Priority
from tests.browser.support import (
    NEEDS_CHROMIUM,
    SCREENS,
    Desk,
    focused_row,
    grey,
    needs_axe,
    rows_of,
    serious,
    top_of,
)
from tests.web_fakes import AFIB, World, serving, view

pytestmark = NEEDS_CHROMIUM
SICK = view(500, verdict="pathology", risk=0.99, findings=(AFIB,))
SOON = 15_000


def listening(at: Desk) -> Page:
    """The list, once it listens: what changes from now on is noticed."""
    page = at.open("about:blank")
    with page.expect_response("**/fragments/worklist"):
        page.goto("/")
    return page


def is_search(response: Response) -> bool:
    return response.url.endswith("/fragments/worklist") and response.request.method == "POST"


def point_at(page: Page, case_id: str) -> None:
    page.locator(f"#c-{case_id}").scroll_into_view_if_needed()
    box = page.locator(f"#c-{case_id}").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 10)


# ---------------------------------------------------------------- live


def test_a_new_study_takes_its_place_without_being_asked_for(at: Desk) -> None:
    page = at.open()
    assert rows_of(page) == [row.case_id for row in at.world.queries.rows]
    at.world.queries.rows = [SICK, *at.world.queries.rows[1:]]
    expect(page.locator("#rows > tr").first).to_have_attribute("id", f"c-{SICK.case_id}", timeout=SOON)
    assert rows_of(page) == [row.case_id for row in at.world.queries.rows]


def test_rows_under_the_pointer_stay_and_the_new_order_waits(at: Desk) -> None:
    page = listening(at)
    before = rows_of(page)
    point_at(page, before[4])
    top = top_of(page, before[4])
    at.world.queries.rows = [SICK, *at.world.queries.rows]
    expect(page.locator("#held")).to_contain_text("1 changes · new pathologies: 1", timeout=SOON)
    assert rows_of(page) == before
    assert top_of(page, before[4]) == top
    assert page.title().startswith("(1) ")
    page.mouse.move(5, 5)
    expect(page.locator("#rows > tr").first).to_have_attribute("id", f"c-{SICK.case_id}")
    expect(page.locator("#held")).to_be_hidden()


def test_rows_at_the_focus_stay_until_the_changes_are_asked_for(at: Desk) -> None:
    at.world.queries.rows = [view(n) for n in range(1, 80)]
    page = listening(at)
    for _ in range(30):
        page.keyboard.press("j")
    here = focused_row(page)
    top = top_of(page, here)
    at.world.queries.rows = [SICK, *reversed(at.world.queries.rows)]
    expect(page.locator("#held")).to_be_visible(timeout=SOON)
    assert (focused_row(page), top_of(page, here)) == (here, top)
    page.keyboard.press(".")
    expect(page.locator("#rows > tr").first).to_have_attribute("id", f"c-{SICK.case_id}")
    assert focused_row(page) == here
    assert top_of(page, here) == pytest.approx(top, abs=2)
    assert rows_of(page) == [row.case_id for row in at.world.queries.rows]


def test_what_a_held_row_says_is_still_renewed(at: Desk) -> None:
    page = listening(at)
    running = at.world.queries.rows[10]
    row = page.locator(f"#c-{running.case_id}")
    point_at(page, running.case_id)
    row.evaluate("row => { row.mark = 'same element' }")
    at.world.queries.rows = [SICK, *(view(11, verdict="pathology", risk=0.8, findings=(AFIB,))
                                     if r is running else r for r in at.world.queries.rows)]
    expect(row.locator(".word")).to_have_text("Pathology", timeout=SOON)
    assert row.evaluate("row => row.mark") == "same element"
    assert SICK.case_id not in rows_of(page)


def test_many_pages_of_one_browser_all_hear_of_a_change(at: Desk) -> None:
    """More than the six connections that a browser opens to one server."""
    first = at.open()
    pages = [first, *(at.another(first.context) for _ in range(7))]
    for page in pages[1:]:
        page.goto("/")
    at.world.queries.rows = [SICK, *at.world.queries.rows]
    for page in pages:
        expect(page.locator("#rows > tr").first).to_have_attribute("id", f"c-{SICK.case_id}", timeout=SOON)


def test_without_a_stream_pages_ask_from_time_to_time(at: Desk) -> None:
    world = World()
    app = world.app()
    app.state.changes.close()
    with serving(app) as url:
        page = at.browser.new_page(base_url=url)
        page.goto("/")
        world.queries.rows = [SICK, *world.queries.rows]
        expect(page.locator("#rows > tr").first).to_have_attribute("id", f"c-{SICK.case_id}", timeout=SOON)
        page.close()


def test_a_lost_connection_is_told_and_the_list_is_kept(at: Desk) -> None:
    page = listening(at)
    page.route("**/fragments/worklist*", lambda route: route.fulfill(status=503, body=""))
    at.world.queries.rows = [SICK, *at.world.queries.rows]
    expect(page.locator("#stale")).to_contain_text("Connection lost", timeout=SOON)
    assert SICK.case_id not in rows_of(page)
    assert len(rows_of(page)) == len(at.world.queries.rows) - 1
    page.unroute("**/fragments/worklist*")
    expect(page.locator("#stale")).to_be_hidden(timeout=SOON)
    at.complaints[:] = [c for c in at.complaints if "503" not in c]


# ---------------------------------------------------------------- keys


def test_keys_move_open_search_and_help(at: Desk) -> None:
    page = at.open()
    ids = rows_of(page)
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    assert focused_row(page) == ids[1]
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    assert focused_row(page) == ids[1]
    page.keyboard.press("/")
    expect(page.get_by_label("Name, ID or accession number")).to_be_focused()
    page.keyboard.type("j")
    assert page.get_by_label("Name, ID or accession number").input_value() == "j"
    page.keyboard.press("Escape")
    for text, rows in (("nobody", 0), ("", len(ids))):
        page.get_by_label("Name, ID or accession number").fill(text)
        expect(page.locator("#rows > tr")).to_have_count(rows)
    page.locator("body").click(position={"x": 3, "y": 300})
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/*")


def test_the_row_at_the_focus_keeps_it_when_a_search_is_answered_late(at: Desk) -> None:
    page = at.open()
    row = rows_of(page)[1]
    page.locator("#rows").evaluate("rows => rows.dataset.old = 'yes'")
    with page.expect_response(is_search):
        page.get_by_label("Name, ID or accession number").fill(" ")
        page.locator(f"#c-{row} .open").focus()
    expect(page.locator("#rows[data-old]")).to_have_count(0)
    expect(page.locator(f"#c-{row} .open")).to_be_focused()


@pytest.mark.parametrize(("key", "code", "does"), [
    ("о", "KeyJ", "#rows tr:first-child :focus"), (".", "Slash", "#search:focus"), (",", "Slash", "#help[open]")])
def test_keys_work_in_a_cyrillic_layout(at: Desk, key: str, code: str, does: str) -> None:
    page = at.open()
    expect(page.locator("#live")).to_be_visible()
    page.evaluate("([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', "
                  "{key, code, shiftKey: key === ',', bubbles: true, cancelable: true}))", [key, code])
    expect(page.locator(does)).to_have_count(1)


# ---------------------------------------------------------------- filter, search, views, pages


def test_a_choice_narrows_the_list_and_stands_in_the_address(at: Desk) -> None:
    page = at.open()
    page.get_by_label("Modality").select_option("CT")
    expect(page.locator(".total")).to_have_text("1–3 of 3 studies")
    assert page.url == f"{at.url}/?modality=CT"
    page.get_by_role("button", name="Normal 2").click()
    expect(page.locator(".total")).to_have_text("1–2 of 2 studies")
    expect(page.get_by_role("button", name="Normal 2")).to_have_attribute("aria-pressed", "true")
    assert page.get_by_label("Verdict").input_value() == "normal"
    page.reload()
    assert page.get_by_label("Modality").input_value() == "CT"
    assert len(rows_of(page)) == 2
    page.get_by_role("link", name="Clear filter").click()
    assert len(rows_of(page)) == len(at.world.queries.rows)


def test_an_answer_about_the_list_before_changes_nothing(at: Desk) -> None:
    page, new = listening(at), view(700, verdict="pathology")
    held: dict[str, Route] = {}
    page.route("**/fragments/worklist*", lambda route: held.setdefault(route.request.method, route))
    page.get_by_label("Modality").select_option("CT")
    at.world.queries.rows = [new, *at.world.queries.rows]
    while held.keys() != {"POST", "GET"}:
        page.wait_for_timeout(20)
    held["POST"].continue_()
    expect(page.locator(".total")).to_have_text("1–3 of 3 studies")
    while f"c-{new.case_id}" not in page.request.get("/fragments/worklist").text():
        page.wait_for_timeout(20)  # until then the page would be told that nothing is new
    with page.expect_response("**/fragments/worklist*") as late:
        held["GET"].continue_()
    assert late.value.status == 200
    late.value.finished()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert len(rows_of(page)) == 3
    page.unroute("**/fragments/worklist*")


def test_a_searched_name_is_found_while_typing_and_stands_in_no_address(at: Desk) -> None:
    page = at.open()
    page.get_by_label("Name, ID or accession number").press_sequentially("петров")
    expect(page.locator("#rows > tr")).to_have_count(1)
    expect(page.locator("#rows .open")).to_have_text("Петров Пётр Петрович")
    at.world.queries.rows = [SICK, *at.world.queries.rows, view(600, patient_name="Петров^Иван")]
    expect(page.locator("#rows > tr")).to_have_count(2, timeout=SOON)
    page.locator("#rows .open").first.click()
    page.wait_for_url("**/cases/*")
    page.keyboard.press("u")
    page.wait_for_url(f"{at.url}/")
    expect(page.locator("#rows > tr")).to_have_count(2)
    assert page.get_by_label("Name, ID or accession number").input_value() == "петров"
    assert not [url for url in at.asked if "text=" in url or "%D0" in url]


def test_without_scripts_the_list_is_filtered_searched_saved_and_paged(at: Desk) -> None:
    at.world.queries.rows = [view(n, modality="CT", patient_name=f"Name^{n}") for n in range(1, 351)]
    page = at.open(java_script_enabled=False)
    page.get_by_label("Modality").select_option("CT")
    page.get_by_role("button", name="Apply").click()
    assert page.url == f"{at.url}/?modality=CT"
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="Next page").click()
    assert "201–300 of 350" in page.locator(".total").inner_text()
    page.get_by_role("link", name="Previous page").click()
    assert rows_of(page)[0] == f"{101:020x}"
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("All the CT")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="All studies").click()
    page.get_by_role("link", name="All the CT").click()
    assert page.url == f"{at.url}/?modality=CT"
    page.get_by_role("button", name="Delete the view All the CT").click()
    expect(page.get_by_role("link", name="All the CT")).to_have_count(0)
    page.get_by_label("Name, ID or accession number").fill("name")
    page.get_by_role("button", name="Apply").click()
    assert page.url == f"{at.url}/"
    page.get_by_role("button", name="Next page").click()
    assert rows_of(page)[0] == f"{101:020x}"
    assert page.get_by_label("Name, ID or accession number").input_value() == "name"


def test_a_view_saves_what_was_chosen_and_not_what_was_searched(at: Desk) -> None:
    page = at.open()
    page.get_by_label("Verdict").select_option("pathology")
    page.get_by_label("Name, ID or accession number").fill("ivanova")
    expect(page.locator("#rows > tr")).to_have_count(2)
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("Sick")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Sick")).to_have_attribute("aria-current", "page")
    assert [dict(v.query) for v in at.world.views.list("127.0.0.1")] == [{"verdict": ["pathology"]}]
    assert len(rows_of(page)) == 4


def test_ten_thousand_studies_are_turned_page_by_page(at: Desk) -> None:
    at.world.queries.rows = [view(n) for n in range(1, 10_001)]
    page = at.open()
    assert "1–100 of 10000 studies" in page.locator(".total").inner_text()
    for _ in range(3):
        page.get_by_role("link", name="Next page").click()
    assert (len(rows_of(page)), rows_of(page)[0]) == (100, f"{301:020x}")
    page.get_by_role("link", name="First page").click()
    assert rows_of(page)[0] == f"{1:020x}"


# ---------------------------------------------------------------- how it looks


def test_in_grey_nothing_looks_like_a_normal_study(at: Desk) -> None:
    """Shape, not colour: signs of different tones differ where they are ink at all."""
    page = at.open(device_scale_factor=3)
    signs = {}
    for number in (1, 4, 5, 6, 7, 8, 11, 12, 17):
        row = page.locator(f"#c-{number:020x}")
        tone = str(row.get_attribute("class")).split()[0]
        picture = grey(row.locator(".verdict .icon").screenshot())
        middle = sum(picture.getextrema()) // 2
        signs.setdefault(tone, picture.point(lambda v, m=middle: 255 * (v < m)))
    assert set(signs) == {"tone-alarm", "tone-caution", "tone-busy", "tone-calm", "tone-off"}
    for one, other in itertools.combinations(signs, 2):
        ink = ImageChops.difference(signs[one], signs[other].resize(signs[one].size)).histogram()[255]
        assert ink > 0.08 * signs[one].width * signs[one].height, (one, other)
    words = page.locator("#rows .word").all_inner_texts()
    assert words.count("Normal") == 4
    assert page.locator("#rows tr:not(.tone-calm)").filter(has_text="nothing found").count() == 0


def test_demonstration_is_marked_on_every_row(at: Desk) -> None:
    page = at.open(screen="phone")
    marked = page.locator("#rows > tr:has(.demo:visible)").evaluate_all("rows => rows.map(row => row.id.slice(2))")
    assert marked == [row.case_id for row in at.world.queries.rows if row.demonstration]


@pytest.mark.parametrize("screen", SCREENS)
def test_many_deliveries_stay_within_the_list(at: Desk, screen: str) -> None:
    row = at.world.queries.rows[0]
    at.world.queries.rows = [replace(row, deliveries=row.deliveries[:1] * 14)]
    page = at.open(screen=screen)
    expect(page.locator("#rows .dot")).to_have_count(14)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    edge = page.evaluate("document.querySelector('.worklist').getBoundingClientRect().right")
    assert max(page.locator("#rows .dot").evaluate_all("all => all.map(d => d.getBoundingClientRect().right)")) <= edge


def test_waiting_stands_against_its_budget_and_overdue_is_told(at: Desk) -> None:
    now = datetime.now(UTC)
    at.world.queries.rows = [view(minutes, priority=Priority.STAT, received_at=now - timedelta(minutes=minutes))
                             for minutes in (20, 5)]
    page = at.open()
    late, early = page.locator("#rows .wait").all()
    assert re.fullmatch(r"2\d min of 15 min\s+overdue", late.inner_text())
    assert re.fullmatch(r"\d min of 15 min", early.inner_text())
    assert float(str(early.locator(".fill").get_attribute("width"))) == pytest.approx(40, abs=10)


@pytest.mark.parametrize("screen", SCREENS)
def test_no_screen_is_too_narrow(at: Desk, screen: str) -> None:
    page = at.open(screen=screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0]
    page.locator("#rows .open").nth(1).click()
    page.wait_for_url("**/cases/*")


@needs_axe
@pytest.mark.parametrize(("screen", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light")])
def test_axe_finds_nothing_serious(at: Desk, screen: str, scheme: str) -> None:
    page = at.open(screen=screen, color_scheme=scheme)
    assert serious(page) == []
    page.keyboard.press("?")
    page.locator(".save-view summary").evaluate("it => it.parentElement.open = true")
    assert serious(page) == []


def test_a_hundred_rows_weigh_less_than_the_budget(at: Desk) -> None:
    at.world.queries.rows = [row for n in range(0, 6) for row in (
        view(100 * n + i, verdict="pathology", risk=0.8, findings=(AFIB,), patient_name=f"Family{i}^Given{n}")
        for i in range(1, 21))]
    page = at.open("about:blank")
    weights: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: weights.append(event["encodedDataLength"]))
    page.goto("/")
    expect(page.locator("#rows > tr")).to_have_count(100)
    expect(page.locator("#live")).to_be_visible()
    assert len(weights) > 5
    assert sum(weights) <= 200_000
