"""The operations page and the rule tester in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gateway.operations import DestinationLoad
from tests.browser.support import NEEDS_CHROMIUM, SCREENS, Desk, desk, needs_axe, serious
from tests.web_console import FakeOperations, explained
from tests.web_fakes import World, fake_object

pytestmark = NEEDS_CHROMIUM
DROP = """([id, content]) => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(content)], "dropped.dcm"));
  const drop = new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true});
  document.getElementById(id).dispatchEvent(drop);
}"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Desk]:
    with desk(World(), explain=explained) as made:
        yield made


@pytest.fixture
def at(at: Desk) -> Desk:
    at.world.operations.loads = FakeOperations().loads
    return at


def test_the_page_follows_what_happens(at: Desk) -> None:
    page = at.open("/operations")
    expect(page.locator("#destinations tr", has_text="RIS")).to_contain_text("failing")
    at.world.operations.loads = (DestinationLoad("RIS"),)
    at.world.queries.rows = [replace(row) for row in at.world.queries.rows]
    expect(page.locator("#destinations tr", has_text="RIS")).to_contain_text("fine", timeout=15_000)


def test_a_dead_letter_is_tried_again(at: Desk) -> None:
    page = at.open("/operations")
    page.locator("#dead").get_by_role("button", name="Try again").first.click()
    page.wait_for_url("**/operations")
    page.get_by_role("button", name="Try all dead deliveries again").click()
    page.wait_for_url("**/operations")
    assert [asked[0] for asked in at.world.commands.asked] == ["retry", "retry_dead"]


def test_a_dropped_file_is_judged(at: Desk) -> None:
    page = at.open("/operations")
    with page.expect_navigation():
        page.evaluate(DROP, ["tester", list(fake_object("ECG"))])
    expect(page.locator("#judged")).to_contain_text("ecg_12lead reads 1 of 1 objects")
    expect(page.locator(".rules li.taken")).to_have_count(1)
    assert at.world.intake.taken == []


def test_without_scripts_a_chosen_file_is_judged_and_a_hostile_one_refused(at: Desk, tmp_path: Path) -> None:
    (tmp_path / "page.dcm").write_bytes(b"<html><script>alert(1)</script></html>")
    (tmp_path / "mr.dcm").write_bytes(fake_object("MR"))
    page = at.open("/operations/rules", java_script_enabled=False)
    page.get_by_label("File").set_input_files(tmp_path / "page.dcm")
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not a DICOM file")
    page.get_by_label("File").set_input_files(tmp_path / "mr.dcm")
    page.get_by_role("button", name="Judge").click()
    expect(page.locator("#judged")).to_contain_text("no rule takes it")
    at.complaints[:] = [c for c in at.complaints if "422" not in c]


@pytest.mark.parametrize("screen", SCREENS)
def test_no_screen_is_too_narrow(at: Desk, screen: str) -> None:
    for path in ("/operations", "/operations/rules"):
        page = at.open(path, screen=screen)
        assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0], path


@needs_axe
@pytest.mark.parametrize(("scheme", "paths"), [
    ("light", ("/operations", "/operations/rules", "/deliveries", "/models", "/nothing")), ("dark", ("/operations",))])
def test_axe_finds_nothing_serious(at: Desk, scheme: str, paths: tuple[str, ...]) -> None:
    for path in paths:
        assert serious(at.open(path, color_scheme=scheme)) == [], path
    at.complaints[:] = [c for c in at.complaints if "404" not in c]
