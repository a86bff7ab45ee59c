"""What holds for all pages in a real browser: they work without scripts, fit the screen, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.support import NEEDS_CHROMIUM, Desk, needs_axe, serious
from tests.web_fakes import World, serving

pytestmark = NEEDS_CHROMIUM
PAGES = ("/", *(f"/cases/{n:020x}" for n in (1, 2, 6)), "/deliveries", "/models", "/models/chest_ct", "/docs")


def test_without_scripts_the_pages_work(at: Desk) -> None:
    page = at.open(java_script_enabled=False)
    page.get_by_role("link", name="Петров Пётр Петрович").click()
    page.get_by_role("button", name="Try again").first.click()
    page.get_by_role("button", name="Mark as read").click()
    assert [asked[0] for asked in at.world.commands.asked] == ["retry", "read"]


def test_no_page_is_wider_than_the_screen(at: Desk) -> None:
    page = at.open("about:blank")
    for path in PAGES:
        page.goto(path)
        for width in (390, 1024, 1366):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


@needs_axe
@pytest.mark.parametrize("width", [390, 1366])
def test_the_tables_of_a_model_card_are_read_without_broken_words(at: Desk, width: int) -> None:
    card = (Path(__file__).parents[2] / "model_repository/ecg_12lead/MODEL.md").read_text(encoding="utf-8")
    with serving(World().app(model_cards=lambda _name: card)) as url:
        context = at.browser.new_context(base_url=url, viewport={"width": width, "height": 800})
        page = context.new_page()
        page.goto("/models/ecg_12lead")
        assert page.locator(".card td").count() > 50
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page) == []
        context.close()


BROKEN = """() => [...document.querySelectorAll(".card th, .card td")].filter((cell) => {
  const words = document.createRange(); words.selectNodeContents(cell);
  return !/[ -]/.test(cell.textContent.trim()) && words.getClientRects().length > 1;
}).map((cell) => cell.textContent)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(at: Desk, scheme: str) -> None:
    for path in ("/", f"/cases/{2:020x}"):
        assert at.open(path, color_scheme=scheme).evaluate(CONTRAST) == []


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
