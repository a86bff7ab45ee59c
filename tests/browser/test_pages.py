"""The pages in a real browser: order, keyboard, refresh without jumps, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web_fakes import AFIB, NOW, World, serving, view

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [pytest.mark.peer, pytest.mark.slow,
              pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Visit:
    """One page on one gateway of fakes; `complaints` holds console errors and requests to other hosts."""

    page: Page
    world: World
    complaints: list[str]

    def rows(self) -> list[str]:
        ids = self.page.locator("#rows > tr").evaluate_all("rows => rows.map(row => row.id.slice(2))")
        return [str(i) for i in ids]

    def focused_row(self) -> str:
        return str(self.page.evaluate("document.activeElement.closest('tr')?.id.slice(2) ?? ''"))


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    world = World()
    with serving(world.app()) as url:
        context = browser.new_context(base_url=url, viewport={"width": 1366, "height": 768})
        complaints: list[str] = []
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith(url) else None)
        yield Visit(page, world, complaints)
        context.close()
        assert complaints == []


def test_the_list_stands_in_the_gateways_order_and_follows_it(visit: Visit) -> None:
    visit.page.goto("/")
    assert visit.rows() == [row.case_id for row in visit.world.queries.rows]
    new = view(50, verdict="pathology", risk=0.99, findings=(AFIB,))
    visit.world.queries.rows = [new, *visit.world.queries.rows[1:]]
    expect(visit.page.locator("#rows > tr").first).to_have_attribute("id", f"c-{new.case_id}", timeout=15_000)
    assert visit.rows() == [row.case_id for row in visit.world.queries.rows]


def test_a_row_changes_in_place(visit: Visit) -> None:
    visit.page.goto("/")
    running = visit.world.queries.rows[10]
    row = visit.page.locator(f"#c-{running.case_id}")
    row.evaluate("row => { row.mark = 'same element' }")
    visit.world.queries.rows[10] = replace(running, state="reported", verdict="normal", risk=0.1, reported_at=NOW)
    expect(row.locator(".word")).to_have_text("Normal", timeout=15_000)
    assert row.evaluate("row => row.mark") == "same element"


def test_keys_move_through_the_list_and_open_a_case(visit: Visit) -> None:
    visit.page.goto("/")
    ids = visit.rows()
    for _ in range(3):
        visit.page.keyboard.press("j")
    assert visit.focused_row() == ids[2]
    visit.page.keyboard.press("k")
    assert visit.focused_row() == ids[1]
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url(f"**/cases/{ids[1]}")
    visit.page.keyboard.press("u")
    visit.page.wait_for_url("**/")


def test_the_focused_row_stays_where_it_is_when_others_arrive(visit: Visit) -> None:
    visit.world.queries.rows = [view(n) for n in range(1, 80)]
    visit.page.goto("/")
    for _ in range(40):
        visit.page.keyboard.press("j")
    focused = visit.focused_row()
    before = visit.page.locator(f"#c-{focused}").bounding_box()
    arrivals = [view(n, verdict="pathology", risk=0.9) for n in range(100, 105)]
    visit.world.queries.rows = arrivals + visit.world.queries.rows
    visit.page.locator(f"#c-{100:020x}").wait_for(timeout=15_000)
    after = visit.page.locator(f"#c-{focused}").bounding_box()
    assert before is not None
    assert after is not None
    assert visit.focused_row() == focused
    assert after["y"] == pytest.approx(before["y"], abs=2)


def test_a_lost_connection_is_told_and_the_list_is_kept(visit: Visit) -> None:
    visit.page.goto("/")
    visit.page.route("**/fragments/worklist*", lambda route: route.fulfill(status=503, body=""))
    expect(visit.page.locator("#stale")).to_contain_text("Connection lost", timeout=15_000)
    assert len(visit.rows()) == len(visit.world.queries.rows)
    visit.page.unroute("**/fragments/worklist*")
    expect(visit.page.locator("#stale")).to_be_hidden(timeout=15_000)
    visit.complaints[:] = [c for c in visit.complaints if "503" not in c]


def test_the_case_page_shows_the_picture_and_is_marked_as_read(visit: Visit) -> None:
    case = visit.world.queries.rows[1].case_id
    visit.page.goto(f"/cases/{case}")
    picture = visit.page.locator("img.picture")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") == 640
    assert visit.page.locator(".findings tr.present").count() == 2
    visit.page.get_by_role("button", name="Mark as read").click()
    expect(visit.page.get_by_role("button", name="Mark as read")).to_have_count(0)
    assert visit.world.commands.asked == [("read", case)]


def test_an_unfinished_case_follows_its_reading(visit: Visit) -> None:
    running = visit.world.queries.rows[10]
    visit.page.goto(f"/cases/{running.case_id}")
    visit.world.queries.rows[10] = replace(running, state="reported", verdict="pathology", risk=0.8, findings=(AFIB,))
    expect(visit.page.locator(".head .word")).to_have_text("Pathology", timeout=15_000)


def test_without_scripts_the_pages_work(browser: Browser) -> None:
    world = World()
    with serving(world.app()) as url:
        page = browser.new_page(java_script_enabled=False)
        page.goto(url)
        page.get_by_role("link", name="Петров Пётр Петрович").click()
        page.get_by_role("button", name="Try again").first.click()
        page.get_by_role("button", name="Mark as read").click()
        assert [asked[0] for asked in world.commands.asked] == ["retry", "read"]
        page.close()


@pytest.mark.parametrize("width", [390, 1024, 1366])
def test_no_page_is_wider_than_the_screen(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", *(f"/cases/{n:020x}" for n in (1, 2, 6)), "/deliveries", "/models", "/models/chest_ct", "/docs"):
        visit.page.goto(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(visit: Visit, scheme: str) -> None:
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for path in ("/", f"/cases/{2:020x}"):
        visit.page.goto(path)
        assert visit.page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const channels = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = (rgb) => rgb.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor, p = channels(c);
    if (c.startsWith("rgb") && (p.length < 4 || p[3] === 1)) return p; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest("svg, .sr, .skip") &&
      [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).flatMap((e) => {
    const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [`${e.className || e.tagName} ${e.textContent.slice(0, 20)} ${ratio.toFixed(2)}`] : []; });
}"""
