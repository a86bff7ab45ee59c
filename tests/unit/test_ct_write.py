"""Plain CT and MR series: geometry, values and identities as they were told."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from adapters.dicom.content.ct_write import write_ct, write_mr
from gateway.study import Patient

PIXELS = np.random.default_rng(0).integers(-1024, 3000, (4, 24, 32)).astype(np.int16)


def arguments(**overrides: Any) -> dict[str, Any]:
    return {"patient": Patient("P-1", "HOSP", "Иванов^Иван", "19500102", "M"), "key": ("ct", "1"),
            "accession_number": "ACC-2", "recorded_at": datetime(2026, 3, 14, 9, tzinfo=UTC),
            "description": "Chest"} | overrides


@pytest.mark.parametrize("write", [write_ct, write_mr])
def test_slices_come_back_in_place_with_their_values(write: Any) -> None:
    slices = [dcmread(BytesIO(b)) for b in write(PIXELS, (2.5, 0.7, 0.8), **arguments())]
    heights = [float(ds.ImagePositionPatient[2]) for ds in slices]
    assert heights == [0, 2.5, 5.0, 7.5]
    assert {tuple(map(float, ds.PixelSpacing)) for ds in slices} == {(0.7, 0.8)}
    assert len({ds.SOPInstanceUID for ds in slices}) == 4
    assert len({(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID) for ds in slices}) == 1
    np.testing.assert_array_equal(np.stack([ds.pixel_array for ds in slices]), PIXELS)
    assert {ds.PatientID for ds in slices} == {"P-1"}


def test_stored_ct_values_are_hounsfield_units() -> None:
    ds = dcmread(BytesIO(write_ct(PIXELS, (1, 1, 1), **arguments())[0]))
    assert (ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType) == (1, 0, "HU")


def test_the_same_arguments_give_the_same_bytes_and_another_key_another_study() -> None:
    first = write_ct(PIXELS, (1, 1, 1), **arguments())
    assert first == write_ct(PIXELS, (1, 1, 1), **arguments())
    other = dcmread(BytesIO(write_ct(PIXELS, (1, 1, 1), **arguments(key=("ct", "2")))[0]))
    assert other.StudyInstanceUID != dcmread(BytesIO(first[0])).StudyInstanceUID
