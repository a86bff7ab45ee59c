"""Which series of a CT study is read, and the reasons why none is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.study import Instance, Patient, Series, Study
from pipelines.chest_ct import PIPELINE
from pipelines.chest_ct.selection import sharp

CT, ENHANCED, CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.7"


def a_series(uid: str, slices: int = 40, thickness: float = 5.0, *, sop_class: str = CT, step: float | None = None,
             **tags: Any) -> Series:
    """Axial slices of the chest, unless told otherwise."""
    usual = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
             "SliceThickness": thickness, "BodyPartExamined": "CHEST", "Modality": "CT"}
    told = {key: value for key, value in (usual | tags).items() if value is not None}
    made = [Instance(f"{uid}.{n}", sop_class, "2.25.1", uid, "1.2.840.10008.1.2.1", "/nowhere", 1, "",
                     told | {"ImagePositionPatient": [0, 0, (step or thickness) * n]}, datetime(2026, 1, 1, tzinfo=UTC))
            for n in range(slices)]
    return Series(uid, "CT", tuple(made))


def chosen(*series: Series) -> str:
    selection = PIPELINE.select(Study("S", "2.25.1", Patient("P"), series))
    assert not selection.problems
    return selection.instances[0].series_instance_uid


def reasons(*series: Series) -> list[str]:
    selection = PIPELINE.select(Study("S", "2.25.1", Patient("P"), series))
    return [problem.code for problem in selection.problems]


def test_the_thinnest_is_read_and_the_note_says_so() -> None:
    thin = a_series("2.25.11", 200, 1.25, ConvolutionKernel="STANDARD")
    study = Study("S", "2.25.1", Patient("P"), (a_series("2.25.10"), thin, a_series("2.25.12", 80, 3)))
    selection = PIPELINE.select(study)
    assert selection.instances == thin.instances
    assert selection.note == "thinnest axial of 3: 1.25 mm, 200 slices, kernel STANDARD"


@pytest.mark.parametrize(("soft", "hard"), [("STANDARD", "LUNG"), ("B31f", "B70f"), ("Br40d", "Bl57d"),
                                            ("FC08", "FC51"), ("B", "L"), ("SOFT", "BONEPLUS"), ("I31f", "I70f")])
def test_a_smooth_kernel_before_a_sharp_one(soft: str, hard: str) -> None:
    assert sharp(hard)
    assert not sharp(soft)
    assert chosen(a_series("2.25.10", ConvolutionKernel=hard), a_series("2.25.11", ConvolutionKernel=soft)) == "2.25.11"
    assert chosen(a_series("2.25.10", 200, 1, ConvolutionKernel=hard),
                  a_series("2.25.11", 40, 5, ConvolutionKernel=soft)) == "2.25.10"


def test_thin_slices_far_apart_are_not_thin() -> None:
    """High-resolution CT of old: 1 mm every 10 mm."""
    assert chosen(a_series("2.25.10", 30, 1.0, step=10), a_series("2.25.11", 60, 5)) == "2.25.11"


def test_a_thin_piece_does_not_stand_for_the_chest() -> None:
    assert chosen(a_series("2.25.10", 40, 0.6), a_series("2.25.11", 60, 5)) == "2.25.11"


def test_localizers_within_the_series_are_left_out() -> None:
    scout = a_series("2.25.10", 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    mixed = Series("2.25.10", "CT", (*scout.instances, *a_series("2.25.10", 40).instances))
    selection = PIPELINE.select(Study("S", "2.25.1", Patient("P"), (mixed,)))
    assert len(selection.instances) == 40


def test_a_chest_may_leave_its_name_out() -> None:
    assert chosen(a_series("2.25.10", BodyPartExamined=None)) == "2.25.10"
    assert chosen(a_series("2.25.10", BodyPartExamined="CHEST_TO_PELVIS")) == "2.25.10"
    assert chosen(a_series("2.25.11", 200, 1, BodyPartExamined="ABDOMEN"), a_series("2.25.10")) == "2.25.10"


def test_an_enhanced_object_counts_its_frames() -> None:
    one = a_series("2.25.10", 1, sop_class=ENHANCED, NumberOfFrames=120, ImageOrientationPatient=None)
    assert chosen(one) == "2.25.10"
    assert reasons(a_series("2.25.10", 1, sop_class=ENHANCED, NumberOfFrames=15)) == ["too-few-slices"]


@pytest.mark.parametrize(("tags", "reason"), [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer-only"),
    ({"SeriesDescription": "Topogram 0.6"}, "localizer-only"),
    ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "derived-only"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MIP"]}, "derived-only"),
    ({"ImageType": "DERIVED\\PRIMARY\\MPR"}, "derived-only"),
    ({"SeriesDescription": "Thorax MIP 10 mm"}, "derived-only"),
    ({"BodyPartExamined": "HEAD"}, "wrong-body-part"),
    ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "not-axial"),
    ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "not-axial"),
])
def test_what_does_not_fit_gives_its_reason(tags: dict[str, Any], reason: str) -> None:
    assert reasons(a_series("2.25.10", **tags)) == [reason]


def test_too_few_slices() -> None:
    assert reasons(a_series("2.25.10", 15)) == ["too-few-slices"]
    assert reasons(a_series("2.25.10", 16)) == []


def test_every_reason_is_told_and_the_images_stay_named() -> None:
    few, scout = a_series("2.25.10", 5), a_series("2.25.11", 2, SeriesDescription="SCOUT")
    selection = PIPELINE.select(Study("S", "2.25.1", Patient("P"), (scout, few)))
    assert [problem.code for problem in selection.problems] == ["too-few-slices", "localizer-only"]
    assert selection.instances == few.instances


def test_no_ct_at_all() -> None:
    assert reasons(a_series("2.25.10", sop_class=CAPTURE)) == ["no-ct"]
