"""The case page in a real browser: slices, windows and evidence, the ECG in true millimetres, feedback, documents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from gateway.evidence_map import EvidenceTrace, pack
from gateway.history import Change, EarlierCase
from gateway.settings import Settings, SiteSettings
from gateway.viewing import CaseSources
from tests.browser.support import NEEDS_CHROMIUM, SCREENS, Desk, needs_axe, serious
from tests.case_fakes import SIZE, FakeBackground, ct_sources, ecg_sources
from tests.web_fakes import World, serving

pytestmark = NEEDS_CHROMIUM
CT, ECG, OLD, LONG = (f"{n:020x}" for n in (1, 2, 12, 15))
SOON = 15_000
MM = 96 / 25.4


def furnish(background: FakeBackground) -> None:
    """A CT with evidence, a 12-lead ECG, a case whose files are gone, and a recording of two minutes."""
    for kept in (background.of_case, background.changed, background.before, background.maps, background.ecgs):
        kept.clear()
    background.of_case[CT], maps = ct_sources()
    background.maps.update(maps)
    background.of_case[ECG], background.ecgs["2.25.700"] = ecg_sources()
    long, ecg = ecg_sources(120, 100, ("I", "II", "V1"))
    (recording,) = long.instances
    background.of_case[LONG] = replace(long, instances=(replace(recording, path="long"),))
    background.ecgs["long"] = ecg
    background.of_case[OLD] = CaseSources(
        "run", (), files_deleted_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), kept=frozenset({"sr", "sc"}))
    background.before[CT] = (EarlierCase(ECG, "ECG", "Resting ECG", datetime(2025, 5, 6, tzinfo=UTC), "reported",
                                         "pathology", 0.9, ("Atrial fibrillation",), False),)


@pytest.fixture
def at(at: Desk) -> Desk:
    at.world.feedback.given.clear()
    furnish(at.world.background)
    return at


def opened(at: Desk, case_id: str, screen: str = "desktop") -> Page:
    """The case, once its viewer shows something."""
    page: Page = at.open(f"/cases/{case_id}", screen)
    expect(page.locator(".viewer")).to_have_attribute("data-ready", "yes", timeout=SOON)
    return page


def on_slice(page: Page, number: int) -> None:
    """Wait until that slice is drawn."""
    expect(page.locator("#images")).to_have_attribute("data-slice", str(number), timeout=SOON)


def colour(page: Page, column: float, row: float, pane: str = "main") -> tuple[int, int, int]:
    """What is drawn at a source pixel's place."""
    red, green, blue = page.evaluate("""([column, row, size, pane]) => {
        const canvas = document.querySelector(`.pane.${pane} canvas`);
        const edge = Math.min(canvas.width, canvas.height);
        const at = [(canvas.width - edge) / 2 + column / size * edge, (canvas.height - edge) / 2 + row / size * edge];
        const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        one.drawImage(canvas, -Math.floor(at[0]), -Math.floor(at[1]));
        return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }""", [column, row, SIZE, pane])
    return red, green, blue


def is_grey(told: tuple[int, int, int]) -> bool:
    return max(told) - min(told) < 4


# ---------------------------------------------------------------- images


def test_the_key_slice_comes_first_with_its_evidence(at: Desk) -> None:
    page = opened(at, CT)
    on_slice(page, 8)
    assert page.locator("#place").inner_text() == "Slice 8 of 12"
    assert page.locator("img.picture").count() == 1
    expect(page.locator("img.picture")).to_be_hidden()
    red, _, blue = colour(page, 24, 24)
    assert red > blue + 60
    assert is_grey(colour(page, 50, 50))
    assert page.locator("#peaks rect").count() == 6


def test_slices_turn_by_wheel_keys_and_slider(at: Desk) -> None:
    page = opened(at, CT)
    page.locator("#panes").hover()
    page.mouse.wheel(0, 40)
    on_slice(page, 7)
    page.locator("#panes").focus()
    for key, slice_ in (("ArrowUp", 8), ("ArrowDown", 7), ("PageUp", 12), ("PageDown", 2), ("Home", 8), ("End", 12)):
        page.keyboard.press(key)
        on_slice(page, slice_)
    page.locator("#slice").fill("3")
    on_slice(page, 3)
    assert page.locator("#panes").get_attribute("aria-valuetext") == "Slice 3 of 12"


def test_who_works_by_keys_turns_slices_without_looking_for_the_image(at: Desk) -> None:
    page = opened(at, CT)
    on_slice(page, 8)
    page.keyboard.press("2")
    page.keyboard.press("ArrowUp")
    on_slice(page, 9)


def test_windows_by_preset_drag_and_number(at: Desk) -> None:
    page = opened(at, CT)
    images = page.locator("#images")
    expect(images).to_have_attribute("data-window", "-600 1500")
    lung = colour(page, 32, 40)
    page.keyboard.press("2")
    expect(images).to_have_attribute("data-window", "50 400")
    assert colour(page, 32, 40) != lung
    assert colour(page, 32, 40)[0] < 5  # −800 HU is black in soft tissue window
    page.get_by_role("button", name="Bone").click()
    expect(images).to_have_attribute("data-window", "400 1800")
    box = page.locator("#panes").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 100)
    page.mouse.up()
    expect(images).to_have_attribute("data-window", "400 2100")
    page.locator("#centre").fill("-400")
    page.locator("#centre").press("Enter")
    expect(images).to_have_attribute("data-window", "-400 2100")


def test_evidence_fades_goes_off_and_stands_beside_the_source(at: Desk) -> None:
    page = opened(at, CT)
    on_slice(page, 8)
    page.keyboard.press("s")
    expect(page.locator(".pane.source")).to_be_visible()
    page.wait_for_function("document.querySelector('.pane.source canvas').width > 300")
    assert is_grey(colour(page, 24, 24, "source"))
    assert not is_grey(colour(page, 24, 24))
    page.locator("#opacity").fill("0")
    assert is_grey(colour(page, 24, 24))
    page.locator("#opacity").fill("100")
    assert not is_grey(colour(page, 24, 24))
    page.keyboard.press("o")
    assert is_grey(colour(page, 24, 24))
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".pane.source")).to_be_hidden()


def test_a_finding_leads_to_where_it_is(at: Desk) -> None:
    page = opened(at, CT)
    page.locator("#slice").fill("1")
    on_slice(page, 1)
    page.get_by_role("button", name="Where?").first.click()
    on_slice(page, 8)


def test_pixels_arrive_exactly_and_evidence_that_is_not_kept_hides_nothing(at: Desk) -> None:
    background = at.world.background
    background.of_case[CT] = replace(background.of_case[CT], evidence_path="")
    page = opened(at, CT)
    on_slice(page, 8)
    assert page.locator("#overlay").is_hidden()
    page.locator("#panes").hover(position={"x": 300, "y": 150})
    expect(page.locator("#readout")).to_contain_text("HU")
    corner = page.evaluate("""async (base) => {
        const list = await (await fetch(`${base}/images`)).json();
        const { decode } = await import("/static/samples.js");
        const answer = await fetch(`${base}/images/${list.version}/0/7`);
        const values = decode(await answer.arrayBuffer(), list.stacks[0].columns);
        return [values[0], values[32 * 64 + 32], values.length, answer.headers.get("X-Rescale")];
    }""", f"/cases/{CT}")
    assert corner == [1064, 224, SIZE * SIZE, "1 -1024"]


def test_what_cannot_be_loaded_is_told(at: Desk) -> None:
    page = at.open("about:blank")
    page.route("**/images/*/0/*", lambda route: route.fulfill(
        status=404, content_type="application/problem+json", body='{"detail": "The pixels are damaged."}'))
    page.goto(f"/cases/{CT}")
    expect(page.locator("#images .message")).to_contain_text("The pixels are damaged.", timeout=SOON)
    at.complaints[:] = [c for c in at.complaints if "404" not in c]


def test_images_that_were_deleted_are_told_and_the_picture_stays(at: Desk) -> None:
    page = at.open(f"/cases/{OLD}")
    expect(page.locator(".viewer .message")).to_contain_text("deleted on 2026-01-02 03:04")
    expect(page.locator("img.picture")).to_be_visible()
    background = at.world.background
    background.of_case[OLD] = replace(background.of_case[OLD], kept=frozenset({"sr"}))
    page.reload()
    expect(page.locator(".viewer .message")).to_contain_text("was deleted too")
    expect(page.locator("img.picture")).to_have_count(0)
    expect(page.locator(".document")).to_have_count(1)


def test_fingers_turn_slices(at: Desk) -> None:
    page = opened(at, CT, "phone")
    on_slice(page, 8)
    page.locator("#panes").evaluate("""panes => {
        const send = (type, x) => panes.dispatchEvent(new PointerEvent(type, {
            pointerId: 7, pointerType: "touch", button: 0, clientX: x, clientY: 300, bubbles: true }));
        panes.setPointerCapture = () => {};
        send("pointerdown", 100); send("pointermove", 110); send("pointermove", 120); send("pointerup", 120); }""")
    on_slice(page, 10)


# ---------------------------------------------------------------- ECG


def test_the_sheet_is_drawn_in_true_millimetres(at: Desk) -> None:
    page = opened(at, ECG)
    assert page.locator("#sheet path.trace[data-lead]").count() == 13
    high = page.locator("#sheet path.trace:not([data-lead])").first.evaluate("pulse => pulse.getBBox().height")
    assert high == pytest.approx(10)
    wide = page.locator("#sheet").evaluate("sheet => sheet.getBoundingClientRect().width")
    page.locator("#speed").select_option("50")
    expect(page.locator("#ecg")).to_have_attribute("data-paper", "3x4 50 10")
    wider = page.locator("#sheet").evaluate("sheet => sheet.getBoundingClientRect().width")
    assert wider - wide == pytest.approx((250 + 5) * MM, abs=1)
    page.locator("#gain").select_option("20")
    expect(page.locator("#ecg")).to_have_attribute("data-paper", "3x4 50 20")
    assert page.locator("#sheet path.trace:not([data-lead])").first.evaluate(
        "pulse => pulse.getBBox().height") == pytest.approx(20)
    page.get_by_role("button", name="12 × 1").click()
    expect(page.locator("#ecg")).to_have_attribute("data-paper", "rows 50 20")
    assert page.locator("#sheet path.trace[data-lead]").count() == 12


def test_a_spike_of_one_millivolt_is_ten_millimetres_high_and_a_second_is_twenty_five_wide(at: Desk) -> None:
    page = opened(at, ECG)
    drawn = page.locator("#sheet path.trace[data-lead=II]").last.evaluate(
        "path => [path.getBBox().width, path.getBBox().height]")
    assert drawn == [pytest.approx(250, abs=0.2), pytest.approx(10, abs=0.1)]


def test_the_caliper_measures_by_mouse_and_by_keyboard(at: Desk) -> None:
    page = opened(at, ECG)
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 50 + 20 * MM, box["y"] + 50 + 5 * MM, steps=4)
    page.mouse.up()
    expect(page.locator("#measured")).to_have_text("Δt 800 ms · 75/min · ΔV 0.50 mV")
    page.keyboard.press("Escape")
    expect(page.locator("#measured")).to_be_hidden()
    page.keyboard.press("c")
    expect(page.locator("#measured")).to_have_text("Δt 400 ms · 150/min · ΔV 1.00 mV")
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#measured")).to_have_text("Δt 520 ms · 115/min · ΔV 1.01 mV")
    assert "520 ms" in str(page.evaluate("document.activeElement.getAttribute('aria-label')"))


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    """One finger, as the screen tells it."""
    session = page.context.new_cdp_session(page)
    places = [(start[0] + by[0] * part / 8, start[1] + by[1] * part / 8) for part in range(9)]
    for kind, (x, y) in zip(("touchStart", *("touchMove",) * 8), places, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def corner(page: Page, which: int) -> tuple[float, float]:
    box = page.locator(".caliper-corner").nth(which).bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44  # a finger's
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_caliper_measures_by_finger(at: Desk) -> None:
    page = opened(at, ECG, "phone")
    page.locator("#caliper").tap()
    measured, scroll = page.locator("#measured"), page.locator("#sheet-scroll")
    expect(measured).to_have_text("Δt 400 ms · 150/min · ΔV 1.00 mV")
    page.locator("#sheet").scroll_into_view_if_needed()
    places = "() => [document.querySelector('#sheet-scroll').scrollLeft, scrollY]"
    before = page.evaluate(places)
    drag(page, corner(page, 1), (10 * MM, -5 * MM))
    expect(measured).to_have_text("Δt 800 ms · 75/min · ΔV 1.50 mV")
    drag(page, corner(page, 0), (-5 * MM, 0))
    expect(measured).to_have_text("Δt 1000 ms · 60/min · ΔV 1.50 mV")
    assert page.evaluate(places) == before  # the sheet stays under a caliper that is moved
    box = scroll.bounding_box()
    assert box is not None
    scroll.evaluate(
        "sheet => { window.still = new Promise((told) => sheet.addEventListener('scrollend', () => told(1))); }")
    drag(page, (box["x"] + 200, box["y"] + box["height"] - 40), (-120, 0))
    assert page.evaluate("window.still") == 1  # elsewhere on it a finger scrolls
    assert page.evaluate(places)[0] > before[0] + 60
    expect(measured).to_have_text("Δt 1000 ms · 60/min · ΔV 1.50 mV")
    page.locator("#caliper-off").tap()
    expect(measured).to_be_hidden()


def test_evidence_is_shaded_by_lead_and_by_time(at: Desk) -> None:
    page = opened(at, ECG)
    assert page.locator("#sheet rect.shade").count() == 3  # II, V1 and the rhythm strip
    page.locator("#shade").select_option("")
    expect(page.locator("#sheet rect.shade")).to_have_count(0)
    background = at.world.background
    values = np.zeros((1, 12, 20), np.uint8)
    values[0, 6, 10:14] = 200
    background.maps["trace"] = pack(EvidenceTrace(("AFIB",), background.ecgs["2.25.700"].leads, values, 0.5))
    background.of_case[ECG] = replace(background.of_case[ECG], evidence_path="trace")
    page = opened(at, ECG)
    assert page.locator("#sheet rect.shade").count() == 4  # V1 from 5 to 7 s
    page.get_by_role("button", name="12 × 1").click()
    expect(page.locator("#ecg")).to_have_attribute("data-paper", "rows 25 10")
    left = page.locator("#sheet rect.shade").first.evaluate("rect => Number(rect.getAttribute('x'))")
    assert left == pytest.approx(8 + 5 * 25)


def test_a_long_recording_is_turned_page_by_page(at: Desk) -> None:
    page = opened(at, LONG)
    assert page.locator("#sheet path.trace[data-lead]").count() == 3
    expect(page.locator("#at")).to_have_text("0–10 s of 120 s")
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#at")).to_have_text("10–20 s of 120 s")
    page.locator("#time").fill("110")
    expect(page.locator("#at")).to_have_text("110–120 s of 120 s")
    assert page.locator("#sheet path.trace[data-lead=V1]").evaluate("path => path.getBBox().width") > 249
    assert not any("/0/12000" in address for address in at.asked)


# ---------------------------------------------------------------- the rest of the page


def test_two_browsers_say_something_of_one_case_and_both_are_kept(at: Desk) -> None:
    first, second = at.open(f"/cases/{ECG}"), at.open(f"/cases/{ECG}")
    first.locator("input[name='finding.AFIB'][value=agree]").check()
    first.get_by_label("Your name").fill("Dr. One")
    first.get_by_role("button", name="Give feedback").click()
    expect(first.locator(".given")).to_contain_text("Dr. One")
    second.get_by_label("Correct verdict").select_option("normal")
    second.get_by_label("Comment").fill("artefact <b>")
    second.get_by_label("Your name").fill("Dr. Two")
    second.get_by_role("button", name="Give feedback").click()
    expect(second.locator(".given li")).to_have_count(2)
    expect(second.locator(".given")).to_contain_text("artefact <b>")
    expect(second.locator(".given")).to_contain_text("Atrial fibrillation: agree")
    expect(first.locator(".given li")).to_have_count(2, timeout=40_000)  # it follows what others say
    first.reload()
    assert first.get_by_label("Your name").input_value() == "Dr. One"
    assert [g.said.run_id for g in at.world.feedback.given] == [f"{2:024x}"] * 2


def test_read_can_be_taken_back(at: Desk) -> None:
    page = at.open(f"/cases/{ECG}")
    page.get_by_role("button", name="Mark as read").click()
    page.get_by_role("button", name="Mark as unread").click()
    expect(page.get_by_role("button", name="Mark as read")).to_be_visible()
    assert [asked[0] for asked in at.world.commands.asked] == ["read", "unread"]


def test_documents_open_in_the_page(at: Desk) -> None:
    page = at.open(f"/cases/{ECG}")
    page.locator("#document-oru summary").click()
    expect(page.locator("#document-oru .tree")).to_contain_text("Message header")
    expect(page.locator("#document-oru .tree")).to_contain_text("MSH-2")
    with page.expect_download() as fetched:
        page.locator("#document-oru + .get").click()
    assert fetched.value.suggested_filename.endswith(".hl7")


def test_earlier_studies_and_versions_are_told(at: Desk) -> None:
    run = f"{1:024x}"
    at.world.background.changed[CT] = {run: (Change.OBJECTS, Change.ORDER)}
    page = opened(at, CT)
    expect(page.locator(".versions")).to_contain_text("Objects were added to the study or removed.")
    page.locator(".earlier a").click()
    page.wait_for_url(f"**/cases/{ECG}")


def test_a_newer_reading_takes_the_viewer_with_it(at: Desk) -> None:
    page = opened(at, CT)
    on_slice(page, 8)
    row = at.world.queries.rows[0]
    at.world.queries.rows[0] = replace(row, run_id="f" * 24, verdict="normal", risk=0.1, findings=())
    found, _ = ct_sources(run_id="new")
    at.world.background.of_case[CT] = replace(found, evidence_path="", findings=())
    expect(page.locator(".head .word")).to_have_text("Normal", timeout=40_000)
    on_slice(page, 7)  # the middle of the stack: nothing is more telling


def test_without_scripts_everything_essential_is_there(at: Desk) -> None:
    page = at.open(f"/cases/{CT}", java_script_enabled=False)
    expect(page.locator("img.picture")).to_be_visible()
    expect(page.locator(".findings")).to_contain_text("The model gives 0.93; from 0.50 it counts as present.")
    page.locator("#document-oru summary").click()
    page.locator("#document-oru a").click()
    expect(page.locator(".tree")).to_contain_text("Message header")
    page.locator("#back").click()
    page.get_by_label("Comment").fill("seen")
    page.get_by_role("button", name="Give feedback").click()
    expect(page.locator(".given")).to_contain_text("seen")
    expect(page.locator(".given")).to_contain_text("127.0.0.1")


def test_the_page_speaks_russian(at: Desk) -> None:
    world = World(settings=Settings.model_validate({"site": {"language": "ru"}}))
    furnish(world.background)

    with serving(world.app()) as url:
        page = at.open("about:blank")
        page.goto(f"{url}/cases/{CT}")
        expect(page.locator("#place")).to_have_text("Срез 8 из 12", timeout=SOON)
        expect(page.locator(".findings")).to_contain_text("Оценка модели 0.93; признак считается найденным от 0.50.")
    at.complaints[:] = [c for c in at.complaints if not c.startswith(url)]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("case_id", [CT, ECG, OLD, LONG])
def test_no_case_is_wider_than_the_screen(at: Desk, case_id: str, screen: str) -> None:
    page = at.open(f"/cases/{case_id}", screen) if case_id == OLD else opened(at, case_id, screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0]


@needs_axe
@pytest.mark.parametrize(("case_id", "screen", "scheme"), [
    (CT, "desktop", "light"), (CT, "phone", "dark"), (ECG, "wide", "light"), (ECG, "desktop", "dark")])
def test_axe_finds_nothing_serious(at: Desk, case_id: str, screen: str, scheme: str) -> None:
    page = at.open("about:blank", screen, color_scheme=scheme)
    page.goto(f"/cases/{case_id}")
    expect(page.locator(".viewer")).to_have_attribute("data-ready", "yes", timeout=SOON)
    page.keyboard.press("c" if case_id == ECG else "s")
    page.locator("#document-oru summary").click()
    expect(page.locator("#document-oru .tree")).to_be_visible()
    assert serious(page) == []


BROKEN_CHOICES = """() => [...document.querySelectorAll(".choice label")].filter((label) => {
  const words = document.createRange(); words.selectNodeContents(label);
  return words.getBoundingClientRect().height > 30;
}).map((label) => label.textContent)"""


@needs_axe
def test_in_russian_on_a_phone_nobody_is_kept_out_and_nothing_hangs_over(at: Desk) -> None:
    world = World(Settings(site=SiteSettings(language="ru")))
    furnish(world.background)
    with serving(world.app()) as url:
        context = at.browser.new_context(base_url=url, viewport={"width": 390, "height": 844}, has_touch=True,
                                         is_mobile=True)
        page = context.new_page()
        for path in ("/", f"/cases/{CT}", f"/cases/{ECG}", "/operations", "/operations/rules", "/deliveries",
                     "/models"):
            page.goto(path)
            if path.startswith("/cases"):
                expect(page.locator(".viewer")).to_have_attribute("data-ready", "yes", timeout=SOON)
            assert page.locator("html").get_attribute("lang") == "ru"
            assert serious(page) == [], path
            assert page.evaluate(BROKEN_CHOICES) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        context.close()
