"""What a reading outlined, as a DICOM segmentation: the mask on its sources, whose it is, the same bytes again."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage, SegmentationStorage

from adapters.dicom.content.segmentation import SegmentationEncoder
from gateway.case import Reading
from gateway.codes import Code
from gateway.delivery import Kind
from gateway.documents import disagreements
from gateway.errors import Permanent
from gateway.segmentation import Segmentation
from gateway.study import Study
from tests import builders
from tests.builders import reading

ENCODER = SegmentationEncoder()
ROWS, COLUMNS = 20, 24


def outlined(of: Study, frames: bool = False) -> Segmentation:
    """Five slices, the lesion on three of them."""
    mask = np.zeros((5, ROWS, COLUMNS), np.bool_)
    mask[1:4, 4:9, 10:20] = True
    mask[2, 6, 12] = False
    uids = [i.sop_instance_uid for i in of.instances]
    slices = tuple((uids[0], n + 1) if frames else (uids[n], 1) for n in range(5))
    origins = np.array([[-10.0, -12.5, 6.0 * n] for n in range(5)])
    altered = Code("49755003", "SCT", "Morphologically Abnormal Structure")
    return Segmentation(mask, slices, origins, (1, 0, 0, 0, 1, 0), (6.0, 0.9, 0.9), "1.2.3.4", "Lesion", altered,
                        Code("55641003", "SCT", "Infarct"), ("stroke_flair", "1.0.0"))


def outlining(frames: bool = False, **overrides: Any) -> Reading:
    tags = {"NumberOfFrames": 5} if frames else {}
    of = reading("ct", study_fields={"tags": {"Rows": ROWS, "Columns": COLUMNS, **tags}, "instances": 6}, **overrides)
    if frames:
        instances = tuple(replace(i, sop_class_uid=EnhancedCTImageStorage) for i in of.study.instances)
        of = replace(of, study=replace(of.study, series=(replace(of.study.series[0], instances=instances),)))
    return replace(of, segmentation=outlined(of.study, frames))


def dataset(of: Reading) -> Dataset:
    document = ENCODER.encode(of, None, "")
    assert document is not None
    return dcmread(BytesIO(document.content))


def test_nothing_outlined_is_no_document() -> None:
    assert ENCODER.encode(reading("ct"), None, "") is None


def test_it_is_whose_it_says_and_agrees_with_the_result() -> None:
    of = outlining()
    document = ENCODER.encode(of, None, "")
    assert document is not None
    assert (document.kind, document.sop_class_uid) == (Kind.SEG, SegmentationStorage)
    claims = ENCODER.read_back(document)
    assert disagreements(of, [claims]) == []
    assert claims.patient_id == of.study.patient.patient_id
    other = replace(of, study=builders.study(of=builders.patient(patient_id="OTHER")))
    assert disagreements(other, [claims])


def test_the_mask_comes_back_pixel_for_pixel(tmp_path: Path) -> None:
    of = outlining()
    assert of.segmentation is not None
    path = tmp_path / "seg.dcm"
    document = ENCODER.encode(of, None, "")
    assert document is not None
    path.write_bytes(document.content)
    held = highdicom.seg.segread(str(path))
    told = held.get_pixels_by_source_instance([uid for uid, _ in of.segmentation.slices], segment_numbers=[1],
                                              assert_missing_frames_are_empty=True)[..., 0]
    assert np.array_equal(told > 0, of.segmentation.mask)
    assert held.NumberOfFrames == 3
    places = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in held.PerFrameFunctionalGroupsSequence]
    assert sorted(places) == [6, 12, 18]


def test_frames_of_one_object_are_named_by_number_and_class() -> None:
    of = outlining(frames=True)
    told = dataset(of)
    items = [f.DerivationImageSequence[0].SourceImageSequence[0] for f in told.PerFrameFunctionalGroupsSequence]
    assert sorted(int(item.ReferencedFrameNumber) for item in items) == [2, 3, 4]
    assert {item.ReferencedSOPClassUID for item in items} == {of.study.instances[0].sop_class_uid}
    (series,) = told.ReferencedSeriesSequence
    assert len(series.ReferencedInstanceSequence) == 1


def test_the_same_reading_gives_the_same_bytes_and_another_run_another_uid() -> None:
    of = outlining()
    first, again = ENCODER.encode(of, None, ""), ENCODER.encode(of, None, "")
    other = ENCODER.encode(replace(of, run=replace(of.run, run_id="another")), None, "")
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.content == again.content
    assert first.identity != other.identity


def test_a_foreign_slice_and_broken_bytes_are_refused() -> None:
    of = outlining()
    assert of.segmentation is not None
    foreign = replace(of.segmentation, slices=(("9.9", 1), *of.segmentation.slices[1:]))
    with pytest.raises(Permanent, match="not in its study"):
        ENCODER.encode(replace(of, segmentation=foreign), None, "")
    document = ENCODER.encode(of, None, "")
    assert document is not None
    with pytest.raises(Permanent):
        ENCODER.read_back(replace(document, content=document.content[:400]))


@pytest.mark.peer
@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (Debian dicom3tools) is not here")
def test_dciodvfy_finds_no_error(frames: bool, tmp_path: Path) -> None:
    document = ENCODER.encode(outlining(frames), None, "")
    assert document is not None
    path = tmp_path / "seg.dcm"
    path.write_bytes(document.content)
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []
    assert "Segmentation" in said.stderr + said.stdout
