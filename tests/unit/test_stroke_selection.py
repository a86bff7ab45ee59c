"""FLAIR, diffusion and ADC are known by how they were acquired; a description alone makes nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from gateway.study import Study
from pipelines.stroke_mr.contrast import Contrast, contrast_of, of_tags
from pipelines.stroke_mr.selection import select
from tests.mr_studies import small, study_of

FLAIR = {"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500, "ScanningSequence": ["SE", "IR"]}
T2 = {"RepetitionTime": 4000, "EchoTime": 95}
T1 = {"RepetitionTime": 500, "EchoTime": 10}
EPI = {"RepetitionTime": 5200, "EchoTime": 82, "ScanningSequence": "EP"}


@pytest.mark.parametrize(("tags", "contrast"), [
    (FLAIR, Contrast.FLAIR),
    ({**FLAIR, "SeriesDescription": "t1 sag"}, Contrast.FLAIR),
    ({**T2, "RepetitionTime": 9000, "EchoTime": 120, "SeriesDescription": "Ax T2 FLAIR"}, Contrast.FLAIR),
    ({**T1, "SeriesDescription": "FLAIR"}, Contrast.T1),
    ({**T2, "RepetitionTime": 3500, "SeriesDescription": "FLAIR"}, Contrast.T2),
    (T2, Contrast.T2), (T1, Contrast.T1),
    ({"RepetitionTime": 2000, "EchoTime": 9, "InversionTime": 860, "SeriesDescription": "T1 FLAIR"}, Contrast.T1),
    ({"RepetitionTime": 4500, "EchoTime": 60, "InversionTime": 160}, Contrast.OTHER),
    ({"RepetitionTime": 700, "EchoTime": 20, "ScanningSequence": "GR"}, Contrast.T2_STAR),
    ({**EPI, "DiffusionBValue": 1000.0}, Contrast.DWI),
    ({**EPI, "DiffusionBValue": 800.0}, Contrast.DWI),
    ({**EPI, "DiffusionBValue": 500.0}, Contrast.OTHER),
    ({**EPI, "DiffusionBValue": 0.0}, Contrast.B0),
    ({**EPI, "SequenceName": "*ep_b1000t"}, Contrast.DWI),
    ({**EPI, "SequenceName": "*ep_b0"}, Contrast.B0),
    ({**EPI, "SeriesDescription": "DWI b1000"}, Contrast.UNTOLD),
    ({**EPI, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, Contrast.ADC),
    ({**EPI, "ImageType": ["DERIVED", "SECONDARY", "COMBINED"], "SeriesDescription": "ADC (10^-6 mm2/s)"},
     Contrast.ADC),
    ({**EPI, "ImageType": ["ORIGINAL", "PRIMARY"], "SeriesDescription": "ADC"}, Contrast.UNTOLD),
    ({**EPI, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "FA"], "DiffusionBValue": 1000.0}, Contrast.OTHER),
    ({"AcquisitionContrast": "FLUID_ATTENUATED"}, Contrast.FLAIR),
    ({"AcquisitionContrast": "T2"}, Contrast.T2),
    ({}, Contrast.UNTOLD),
    ({"EchoTime": "garbage", "ImageType": None, "RepetitionTime": []}, Contrast.UNTOLD),
])
def test_the_contrast_follows_from_the_acquisition(tags: dict[str, Any], contrast: Contrast) -> None:
    assert contrast_of(of_tags(tags)) is contrast


def the_study(folder: Path, *series: dict[str, Any], slices: int = 12, change: Any = None) -> Study:
    return study_of([small(slices, **{"SeriesDescription": "x", **one}) for one in series], folder, change=change)


def test_flair_diffusion_and_adc_are_taken_and_nothing_else(tmp_path: Path) -> None:
    adc = {**EPI, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}
    of = the_study(tmp_path, T1, FLAIR, T2, {**EPI, "DiffusionBValue": 1000.0}, adc)
    selection = select(of)
    assert selection.problems == ()
    assert sorted(selection.details.values()) == ["ADC", "DWI", "FLAIR"]
    assert len(selection.instances) == 36


@pytest.mark.parametrize(("series", "slices", "change", "code"), [
    ([T1, {**T2, "SeriesDescription": "FLAIR"}], 12, None, "wrong-contrast"),
    ([{**EPI, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}], 12, None, "wrong-contrast"),
    ([FLAIR], 4, None, "too-few-slices"),
    ([{**FLAIR, "BodyPartExamined": "KNEE"}], 12, None, "wrong-body-part"),
    ([{**FLAIR, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}], 12, None, "localizer-only"),
])
def test_what_does_not_fit_is_named(series: list[dict[str, Any]], slices: int, change: Any, code: str,
                                    tmp_path: Path) -> None:
    selection = select(the_study(tmp_path, *series, slices=slices, change=change))
    assert [p.code for p in selection.problems] == [code]
    assert selection.instances


def test_a_sagittal_flair_is_not_read(tmp_path: Path) -> None:
    def sagittal(ds: Dataset) -> None:
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    assert [p.code for p in select(the_study(tmp_path, FLAIR, change=sagittal)).problems] == ["not-axial"]


def test_the_unweighted_images_of_a_diffusion_series_come_along(tmp_path: Path) -> None:
    """Philips: b = 0 says ScanningSequence SE, as a T2 would."""
    def one_series(ds: Dataset) -> None:
        ds.SeriesInstanceUID = "1.2.3"

    spin = {"RepetitionTime": 4000, "EchoTime": 70}
    of = the_study(tmp_path, {**spin, "DiffusionBValue": 0.0}, {**spin, "DiffusionBValue": 1000.0}, change=one_series)
    assert len(select(of).instances) == 24
