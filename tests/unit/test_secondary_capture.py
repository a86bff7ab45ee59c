"""The picture of a result: its object, and what is drawn to scale."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from adapters.dicom.content.common import to_part10
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.sheet_canvas import AMBER, GREEN, INK, RED, Canvas, Colour
from adapters.dicom.content.sheet_ecg import PIXELS_PER_MM, draw_ecg
from adapters.dicom.content.sheet_header import Look, draw_header, header_height
from adapters.dicom.content.sheet_image import draw_card, draw_key_image
from gateway.case import Completeness, Reading
from gateway.codes import Code
from gateway.delivery import Document, Kind
from gateway.documents import disagreements
from gateway.errors import Permanent
from gateway.identity import document_uid
from gateway.pipeline import EcgSheet, KeyImage, Picture
from gateway.result import Finding, Problem, Verdict
from tests.builders import reading
from tests.waveforms import LEADS, beats

SHEET = EcgSheet(beats(), 500.0, LEADS)
VERDICT_COLOURS: dict[str, Colour] = {"normal": GREEN, "pathology": RED, "undetermined": AMBER}
ENCODER = SecondaryCaptureEncoder()
MM = PIXELS_PER_MM


def key_image(rows: int = 64, columns: int = 64, heat: bool = True, **overrides: Any) -> KeyImage:
    y, x = np.mgrid[:rows, :columns]
    pixels = (((y - rows / 2) ** 2 + (x - columns / 2) ** 2) < (rows / 3) ** 2).astype(np.uint8) * 200
    warm = np.exp(-((y - 20) ** 2 + (x - 40) ** 2) / 50).astype(np.float32)
    return KeyImage(pixels, warm if heat else None, "Slice 31 of 64", **overrides)


def encoded(of: Reading, picture: Picture | None) -> tuple[Document, Dataset]:
    document = ENCODER.encode(of, picture, "")
    return document, dcmread(BytesIO(document.content))


def share(pixels: NDArray[np.uint8], colour: Colour) -> int:
    return int((pixels == np.array(colour)).all(axis=2).sum())


def dark(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a trace was drawn: the paper's lines are never this dark."""
    return pixels.max(axis=2) < 110


def paper_of(pixels: NDArray[np.uint8], rows: int = 4) -> NDArray[np.uint8]:
    bottom = pixels.shape[0] - 6 * MM
    return pixels[bottom - rows * 30 * MM:bottom, MM:-MM]


@pytest.mark.parametrize("picture", [SHEET, key_image(), key_image(heat=False), None])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_object_says_whose_it_is_and_what_the_verdict_is(verdict: Verdict, picture: Picture | None) -> None:
    of = reading("ct" if isinstance(picture, KeyImage) else "ecg", verdict)
    document, ds = encoded(of, picture)
    assert (document.kind, document.identity) == (Kind.SC, document_uid(of.run.run_id, "sc"))
    assert ds.SOPInstanceUID == document.identity
    assert document.sop_class_uid == ds.SOPClassUID == SecondaryCaptureImageStorage
    claims = ENCODER.read_back(document)
    assert disagreements(of, [claims]) == []
    assert (claims.verdict, claims.risk) == (verdict.value, pytest.approx(of.result.risk, abs=0.0006))
    assert (ds.BurnedInAnnotation, ds.ConversionType) == ("NO", "WSD")
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)
    assert ds.Columns >= 1024


def test_the_same_reading_gives_the_same_bytes_and_another_run_another_uid() -> None:
    of = reading("ecg")
    assert encoded(of, SHEET)[0] == encoded(replace(of), replace(SHEET))[0]
    later = replace(of, run=replace(of.run, run_id="f" * 24))
    assert encoded(later, SHEET)[0].identity != encoded(of, SHEET)[0].identity


def test_a_cyrillic_patient_survives() -> None:
    of = reading("ecg", language="ru")
    of = replace(of, study=replace(of.study, patient=replace(of.study.patient, name="Иванов^Иван")))
    assert str(encoded(of, SHEET)[1].PatientName) == "Иванов^Иван"


def test_it_points_at_what_it_shows() -> None:
    ct, ecg = reading("ct"), reading("ecg")
    shown = ct.study.instances[30].sop_instance_uid
    item = encoded(ct, key_image(source=(shown, 1)))[1].SourceImageSequence
    assert [i.ReferencedSOPInstanceUID for i in item] == [shown]
    assert len(encoded(ct, key_image())[1].SourceImageSequence) == len(ct.result.evidence)
    waveform = encoded(ecg, SHEET)[1]
    assert [i.ReferencedSOPInstanceUID for i in waveform.SourceInstanceSequence] == list(ecg.result.evidence)
    assert "SourceImageSequence" not in waveform


@pytest.mark.parametrize("change", [
    lambda ds: setattr(ds, "ImageComments", "all well"), lambda ds: delattr(ds, "ImageComments"),
    lambda ds: setattr(ds, "Rows", 60000), lambda ds: delattr(ds, "PixelData")])
def test_an_object_that_does_not_say_its_verdict_is_not_read_back(change: Any) -> None:
    document, ds = encoded(reading("ecg"), SHEET)
    change(ds)
    with pytest.raises(Permanent):
        ENCODER.read_back(replace(document, content=to_part10(ds)))
    with pytest.raises(Permanent):
        ENCODER.read_back(replace(document, content=document.content[:500]))


@pytest.mark.parametrize("verdict", ["normal", "pathology", "undetermined"])
def test_each_verdict_has_its_colour_and_no_other(verdict: str) -> None:
    of = reading("ecg", verdict, findings=())
    pixels = draw_card(of)
    for name, colour in VERDICT_COLOURS.items():
        assert (share(pixels, colour) > 1000) == (name == verdict), name


def test_an_undetermined_card_shows_its_reasons_and_a_demonstration_says_so() -> None:
    plain = reading("ecg", "undetermined", findings=(), problems=(Problem("flat", "Flat leads"),))
    more = reading("ecg", "undetermined", findings=(), problems=(Problem("flat", "Flat leads and a long reason"),))
    assert share(draw_card(plain), INK) < share(draw_card(more), INK)
    assert share(draw_card(reading("ct", "normal")), RED) > 20_000 > share(draw_card(reading("ecg", "normal")), RED)


def test_a_normal_sheet_bears_no_red_mark() -> None:
    assert share(draw_card(reading("ecg", "normal")), RED) == 0
    assert share(draw_card(reading("ecg", "pathology")), RED) > 1000


def finding(number: int, probability: float, words: str) -> Finding:
    return Finding(f"F{number}", Code(str(number), "99TRIAGE", "x"), words, probability, 0.5, 0.9)


LONG = "Двусторонняя полисегментарная инфильтрация с признаками деструкции " * 3


@pytest.mark.parametrize("look", [Look(1572, 14, 22, 6, 3), Look(1320, 16, 20, 5, 2), Look(1320, 24, 28, 12, 1)])
@pytest.mark.parametrize("count", [0, 1, 11, 80])
@pytest.mark.parametrize("words", ["Nodule", LONG, "W" * 400])
def test_the_header_stays_in_its_place(look: Look, count: int, words: str) -> None:
    found = tuple(finding(n, n / 100, words) for n in range(count))
    verdict = "pathology" if count > 60 else "undetermined"
    of = reading("ct", verdict, language="ru", timezone="Europe/Moscow", completeness=Completeness.PARTIAL,
                 result_fields={"findings": found, "summary": words * 5,
                                "problems": tuple(Problem(f"p{n}", words) for n in range(9))})
    height = header_height(of, look)
    canvas = Canvas(look.width, height + 200)
    assert draw_header(canvas, of, look) == height
    pixels = canvas.pixels()
    assert (pixels[height:] == 255).all()
    band = (pixels[:, 0] != 255).any(axis=1)
    beside = pixels[~band]
    assert (beside[:, :look.margin - 2] == 255).all()
    assert (beside[:, look.width - look.margin + 4:] == 255).all()


def test_the_calibration_pulse_is_ten_by_five_millimetres() -> None:
    paper = dark(paper_of(draw_ecg(reading("ecg"), SHEET)))[:30 * MM, :round(9.5 * MM)]
    rows, columns = np.flatnonzero(paper.any(axis=1)), np.flatnonzero(paper[:12 * MM].any(axis=0))
    assert rows[-1] - rows[0] == pytest.approx(10 * MM, abs=3)
    assert columns[-1] - columns[0] == pytest.approx(5 * MM, abs=3)


def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five() -> None:
    signal = np.zeros((12, 5000), dtype=np.float32)
    signal[:, 3750:] = 1.0  # a step at 7.5 s; the median of the rhythm strip is 0
    trace = dark(paper_of(draw_ecg(reading("ecg"), EcgSheet(signal, 500.0, LEADS))))[90 * MM:]
    low, high = (np.flatnonzero(trace[:, round(x * MM)]).mean() for x in (10 + 25 * 6.0, 10 + 25 * 9.0))
    assert low - high == pytest.approx(10 * MM, abs=1.5)
    step = np.flatnonzero(trace[round(8 * MM)])
    assert step[step > 20 * MM].mean() == pytest.approx((10 + 25 * 7.5) * MM, abs=2)


def test_gaps_and_missing_leads_stay_blank() -> None:
    signal = beats()
    signal[1, 2000:3000] = np.nan  # lead II, 4 s to 6 s
    signal[6] = np.nan
    paper = dark(paper_of(draw_ecg(reading("ecg"), EcgSheet(signal, 500.0, LEADS))))
    strip = paper[98 * MM:]
    assert not strip[:, round((10 + 25 * 4.1) * MM):round((10 + 25 * 5.9) * MM)].any()
    assert strip[:, round((10 + 25 * 6.1) * MM):].any()
    v1 = paper[8 * MM:30 * MM, round((10 + 25 * 5.2) * MM):round((10 + 25 * 7.4) * MM)]
    assert not v1.any()


@pytest.mark.parametrize(("sheet", "rows"), [
    (EcgSheet(beats(1), 500.0, ("MLII",)), 1), (EcgSheet(beats(12, 2.0), 500.0, LEADS), 4),
    (EcgSheet(beats(8, 30.0, 250.0), 250.0, ("I", "II", *LEADS[6:])), 4),
    (EcgSheet(beats(24), 500.0, tuple(f"E{n}" for n in range(24))), 6),
    (EcgSheet(beats(12, 0.02), 500.0, LEADS), 4)])
def test_odd_recordings_are_drawn_too(sheet: EcgSheet, rows: int) -> None:
    of = reading("ecg")
    pixels = draw_ecg(of, sheet)
    assert pixels.shape == (header_height(of, Look(1572, 14, 22, 6, 3)) + (30 * rows + 6) * MM, 1572, 3)
    assert dark(paper_of(pixels, rows))[8 * MM:, 10 * MM:].any()


def test_a_sheet_of_nothing_but_gaps_has_a_grid_and_no_trace() -> None:
    nothing = EcgSheet(np.full((12, 5000), np.nan, dtype=np.float32), 500.0, LEADS)
    paper = paper_of(draw_ecg(reading("ecg"), nothing))
    assert not dark(paper)[92 * MM + 8 * MM:, 10 * MM:].any()
    assert np.ptp(paper.astype(int)) > 20


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.5])
def test_a_round_thing_stays_as_round_as_it_was(aspect: float) -> None:
    rows = round(100 / aspect)
    y, x = np.mgrid[:rows, :100]
    disc = (((y + 0.5) * aspect - 50) ** 2 + (x + 0.5 - 50) ** 2 < 35**2).astype(np.uint8) * 255
    of = reading("ct")
    pixels = draw_key_image(of, KeyImage(disc, None, "", pixel_aspect=aspect))
    body = pixels[header_height(of, Look(1320, 16, 20, 5, 2)):].min(axis=2) > 128
    rows_lit, columns_lit = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    height, width = np.ptp(rows_lit), np.ptp(columns_lit)
    assert height / width == pytest.approx(1.0, abs=0.03)


def test_heat_colours_the_right_panel_where_it_is_and_leaves_the_left_plain() -> None:
    of, picture = reading("ct"), key_image()
    pixels = draw_key_image(of, picture)[header_height(of, Look(1320, 16, 20, 5, 2)) + 12:-70].astype(int)
    coloured = np.ptp(pixels, axis=2) > 60
    assert not coloured[:, :650].any()
    rows, columns = np.nonzero(coloured[:, 660:])
    assert rows.mean() / coloured.shape[0] == pytest.approx(20 / 64, abs=0.05)
    assert (columns.mean() + 660 - 666) / 638 == pytest.approx(40 / 64, abs=0.05)


def test_no_heat_at_all_leaves_the_overlay_plain() -> None:
    of = reading("ct")
    cold = replace(key_image(), heat=np.zeros((64, 64), dtype=np.float32))
    pixels = draw_key_image(of, cold)[header_height(of, Look(1320, 16, 20, 5, 2)) + 12:-70].astype(int)
    assert (np.ptp(pixels, axis=2) < 10).all()
    assert pixels.max() > 150
