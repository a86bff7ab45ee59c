"""MR objects become volumes: by b-value, direction, echo and position, never by instance number; three vendors, classic
and enhanced."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from adapters.dicom.content.mr_volumes import load_mr
from gateway.errors import Unusable
from gateway.study import Instance
from pipelines.stroke_mr.contrast import Contrast, contrast_of, of_acquisition
from pipelines.stroke_mr.series import choose
from tests.mr_studies import enhanced, received, small, study_of, written
from tests.reading import DATA

PHILIPS = DATA / "mr-dwi-philips" / "dwi.zip"


def test_slices_lie_by_position_whatever_their_numbers(tmp_path: Path) -> None:
    one = small(10, EchoTime=90)
    instances = received(written([one], "a", lambda ds: setattr(ds, "InstanceNumber", 7)), tmp_path)
    (volume,) = load_mr(tuple(np.random.default_rng(1).permutation(np.array(instances, object))))
    assert np.array_equal(volume.values, one.values)
    assert volume.spacing == (5.0, 2.0, 2.0)
    assert volume.origin == (-15.0, -15.0, 0.0)
    assert volume.problems == ()




def _ge(ds: Dataset) -> None:
    ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1000001000, 8, 0, 0])


def _philips(ds: Dataset) -> None:
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x03, "FL", 1000.0)
    block.add_new(0x04, "CS", "I")


def _standard(ds: Dataset) -> None:
    ds.DiffusionBValue = 1000.0


def _of_siemens(ds: Dataset) -> None:
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 1000)


@pytest.mark.parametrize("write", [_of_siemens, _ge, _philips, _standard],
                         ids=["siemens", "ge", "philips", "standard"])
def test_every_vendor_tells_its_b_value(write: Any, tmp_path: Path) -> None:
    one = small(RepetitionTime=5000, EchoTime=80, ScanningSequence="EP")
    (volume,) = load_mr(received(written([one], "b", write), tmp_path))
    assert volume.acquisition.b_value == 1000
    assert volume.acquisition.direction is None
    assert contrast_of(of_acquisition(volume.acquisition)) is Contrast.DWI


def test_a_private_element_of_another_vendor_is_no_b_value(tmp_path: Path) -> None:
    def write(ds: Dataset) -> None:
        ds.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", 1000)

    (volume,) = load_mr(received(written([small(EchoTime=80)], "c", write), tmp_path))
    assert volume.acquisition.b_value is None


def test_one_series_splits_by_b_value_direction_and_repeat(tmp_path: Path) -> None:
    """Twice b = 0, two directions of b = 1000, all in one series with the same instance numbers."""
    wanted = [(0.0, None), (0.0, None), (1000.0, (1.0, 0.0, 0.0)), (1000.0, (0.0, 1.0, 0.0))]
    objects: list[bytes] = []
    for number, (b, direction) in enumerate(wanted):
        one = small(6, EchoTime=80, RepetitionTime=5000, DiffusionBValue=b)
        one.values[:] = 100 * (number + 1)

        def write(ds: Dataset, number: int = number, direction: Any = direction) -> None:
            ds.SeriesInstanceUID, ds.InstanceNumber = "1.2.3", 1
            ds.SOPInstanceUID = f"1.2.3.{number}.{round(float(ds.ImagePositionPatient[2]))}"
            if direction:
                ds.DiffusionGradientOrientation = list(direction)

        objects += written([one], f"d{number}", write)
    volumes = load_mr(received(objects, tmp_path))
    assert [(v.acquisition.b_value, v.acquisition.direction) for v in volumes] == [wanted[0], wanted[1], wanted[3],
                                                                                 wanted[2]]
    assert [len(set(v.values.ravel().tolist())) for v in volumes] == [1, 1, 1, 1]
    chosen = choose(volumes)
    assert chosen.dwi is not None
    np.testing.assert_allclose(chosen.dwi.values, np.sqrt(300 * 400), rtol=1e-4)
    assert chosen.adc is not None


def test_an_enhanced_object_is_told_by_its_frames(tmp_path: Path) -> None:
    plain, weighted = small(8), small(8)
    weighted.values[:] = weighted.values[::-1]

    def frame(volume: int, _: int) -> Dataset:
        group, kind, echo, timing, diffusion = (Dataset() for _ in range(5))
        kind.FrameType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
        kind.AcquisitionContrast = "DIFFUSION"
        echo.EffectiveEchoTime, timing.RepetitionTime = 80.0, 5000.0
        diffusion.DiffusionBValue = 1000.0 * volume
        diffusion.DiffusionDirectionality = "ISOTROPIC" if volume else "NONE"
        group.MRImageFrameTypeSequence, group.MREchoSequence = [kind], [echo]
        group.MRTimingAndRelatedParametersSequence, group.MRDiffusionSequence = [timing], [diffusion]
        return group

    first, second = load_mr(received([enhanced([plain, weighted], frame, "e")], tmp_path))
    assert (first.acquisition.b_value, second.acquisition.b_value) == (0, 1000)
    assert np.array_equal(first.values, plain.values)
    assert np.array_equal(second.values, weighted.values)
    assert {number for _, number in (*first.slices, *second.slices)} == set(range(1, 17))
    assert [contrast_of(of_acquisition(v.acquisition)) for v in (first, second)] == [Contrast.B0, Contrast.DWI]


def test_rescale_is_applied_slice_by_slice_and_a_gap_is_named(tmp_path: Path) -> None:
    def write(ds: Dataset) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = 2.0, 10.0

    one = small(10, EchoTime=90)
    objects = written([one], "f", write)
    (volume,) = load_mr(received(objects[:4] + objects[6:], tmp_path))
    assert np.array_equal(volume.values, one.values[[0, 1, 2, 3, 6, 7, 8, 9]] * 2 + 10)
    assert [p.code for p in volume.problems] == ["gap"]


def test_what_is_no_axial_stack_is_refused(tmp_path: Path) -> None:
    def sagittal(ds: Dataset) -> None:
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    with pytest.raises(Unusable, match="axial"):
        load_mr(study_of([small()], tmp_path, change=sagittal).instances)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not PHILIPS.exists(), reason="../shared/data/mr-dwi-philips is not here")
def test_the_real_philips_series_is_seventeen_volumes(tmp_path: Path) -> None:
    """Scrambled instance numbers: each volume has its 32 places once, in order."""
    with zipfile.ZipFile(PHILIPS) as held:
        instances: tuple[Instance, ...] = received(
            [held.read(name) for name in held.namelist() if name.endswith(".dcm")], tmp_path)
    volumes = load_mr(instances[::-1])
    assert [v.values.shape for v in volumes] == [(32, 112, 112)] * 17
    assert sum((v.acquisition.b_value or 0) > 900 for v in volumes) == 12
    assert all(np.allclose(np.diff(v.positions), 2, atol=0.01) and not v.problems for v in volumes)
    assert len({uid for v in volumes for uid, _ in v.slices}) == 544
    neighbours = [np.corrcoef(v.values[k].ravel(), v.values[k + 1].ravel())[0, 1] for v in volumes for k in range(31)]
    assert min(neighbours) > 0.8
    chosen = choose(volumes)
    assert chosen.flair is None
    assert chosen.dwi is not None
    assert chosen.adc is not None
    bright = chosen.dwi.values > np.percentile(chosen.dwi.values, 85)
    assert 550 < float(np.median(chosen.adc[bright])) < 950
