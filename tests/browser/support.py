"""One browser and one gateway of fakes for the tests of a module: a page each, and no complaint at the end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.web_fakes import World, serving, varied_rows

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / ".tools/axe/node_modules/axe-core/axe.min.js"
NEEDS_CHROMIUM = [pytest.mark.peer, pytest.mark.slow,
                  pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")]
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not under .tools (config/setup/tools.sh puts it)")
SCREENS = {"desktop": (1366, 768), "wide": (1920, 1080), "phone": (390, 844)}


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Desk:
    """A gateway of fakes at `url`, and a browser. `complaints`: console errors, and requests to other hosts."""

    browser: Browser
    url: str
    world: World
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    def open(self, path: str = "/", screen: str = "desktop", **options: Any) -> Page:
        """A page in a context of its own."""
        width, height = SCREENS[screen]
        phone = {"has_touch": True, "is_mobile": True} if screen == "phone" else {}
        context = self.browser.new_context(base_url=self.url, viewport={"width": width, "height": height},
                                           **phone | options)
        self.contexts.append(context)
        page = self.another(context)
        page.goto(path)
        return page

    def another(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        return page

    def _note(self, url: str) -> None:
        self.asked.append(url)
        if not url.startswith(self.url):
            self.complaints.append(url)

    def reset(self) -> None:
        for context in self.contexts:
            context.close()
        self.contexts, self.asked, self.complaints = [], [], []
        self.world.queries.rows = varied_rows()
        self.world.views.kept.clear()
        self.world.commands.asked.clear()


@contextmanager
def desk(world: World, **parts: Any) -> Iterator[Desk]:
    with serving(world.app(**parts)) as url, chromium() as browser:
        yield Desk(browser, url, world)


def rows_of(page: Page) -> list[str]:
    return [str(i) for i in page.locator("#rows > tr").evaluate_all("rows => rows.map(row => row.id.slice(2))")]


def focused_row(page: Page) -> str:
    return str(page.evaluate("document.activeElement.closest('tr')?.id.slice(2) ?? ''"))


def top_of(page: Page, case_id: str) -> float:
    return float(page.locator(f"#c-{case_id}").evaluate("row => row.getBoundingClientRect().top"))


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody out: rule and element."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {n['html'][:120]}" for v in found["violations"] if v["impact"] in {"serious", "critical"}
            for n in v["nodes"]]


def grey(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("L")
