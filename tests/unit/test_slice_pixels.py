"""Pixels for looking at, against what pydicom's objects hold: signs, shifts, padding, colours, frames, damage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from adapters.dicom.content.slice_pixels import read_pixels
from gateway.errors import Transient, Unusable
from gateway.study import Instance
from gateway.viewing import Pixels


def instance(path: Path) -> Instance:
    return Instance("1.2", "1.2", "1.2", "1.2", "", str(path), 1, "", {}, datetime.now(UTC))


def written(tmp: Path, values: np.ndarray[tuple[int, ...], Any], **elements: Any) -> Instance:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2"
    colour = values.ndim == 3 and values.shape[-1] == 3
    frames = values.ndim == 3 and not colour
    data.Rows, data.Columns = values.shape[1:] if frames else values.shape[:2]
    if frames:
        data.NumberOfFrames = len(values)
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = values.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    path = tmp / "object.dcm"
    data.save_as(path, enforce_file_format=True)
    return instance(path)


def real(pixels: Pixels) -> list[list[float]]:
    values: list[list[float]] = (pixels.stored * pixels.slope + pixels.intercept).tolist()
    return values


@pytest.mark.parametrize(("values", "elements", "expected"), [
    (np.array([[-2000, 100]], np.int16), {"RescaleSlope": 2, "RescaleIntercept": -24}, [[-4024, 176]]),
    (np.array([[0, 65535]], np.uint16), {}, [[0, 65535]]),
    (np.array([[40000, 41000]], np.uint16), {"RescaleSlope": 0.5, "RescaleIntercept": -1000}, [[19000, 19500]]),
    (np.array([[7, 255]], np.uint8), {}, [[7, 255]]),
    (np.array([[-2000, 5, 9]], np.int16), {"PixelPaddingValue": -2000}, [[5, 5, 9]]),
    (np.array([[0xF123, 0x0FFF]], np.uint16), {"BitsStored": 12, "HighBit": 11}, [[0x123, 0xFFF]]),
])
def test_real_values(tmp_path: Path, values: Any, elements: dict[str, Any], expected: list[list[float]]) -> None:
    assert real(read_pixels(written(tmp_path, values, **elements), 1)) == expected


def test_frames_are_told_apart_and_a_frame_too_many_is_refused(tmp_path: Path) -> None:
    made = written(tmp_path, np.array([[[1, 2]], [[3, 4]]], np.int16))
    assert [real(read_pixels(made, frame)) for frame in (1, 2)] == [[[1, 2]], [[3, 4]]]
    with pytest.raises(Unusable):
        read_pixels(made, 3)


def test_colours_stay_colours(tmp_path: Path) -> None:
    values = np.array([[[1, 2, 3], [250, 128, 0]]], np.uint8)
    assert read_pixels(written(tmp_path, values), 1).stored.tolist() == values.tolist()


@pytest.mark.parametrize(("name", "shape"), [
    ("CT_small.dcm", (128, 128)), ("JPEG2000.dcm", (1024, 256)), ("MR_small_bigendian.dcm", (64, 64)),
    ("SC_ybr_full_422_uncompressed.dcm", (100, 100, 3)), ("SC_rgb_rle_16bit.dcm", (100, 100, 3)),
    ("examples_palette.dcm", (350, 800, 3))])
def test_real_objects_of_several_syntaxes(name: str, shape: tuple[int, ...]) -> None:
    pixels = read_pixels(instance(Path(str(get_testdata_file(name, download=False)))), 1)
    assert pixels.stored.shape == shape
    assert pixels.stored.dtype == (np.uint8 if len(shape) == 3 else np.int16)
    assert int(pixels.stored.max()) > int(pixels.stored.min())


def test_damage_is_told_in_a_sentence(tmp_path: Path) -> None:
    made = written(tmp_path, np.zeros((20, 20), np.int16))
    whole = Path(made.path).read_bytes()
    for content in (whole[:-300], whole[:200], b"no DICOM at all"):
        Path(made.path).write_bytes(content)
        with pytest.raises(Unusable, match=r"\.$"):
            read_pixels(made, 1)
    with pytest.raises(Transient):
        read_pixels(instance(tmp_path / "gone.dcm"), 1)


def test_a_header_that_asks_for_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="too large"):
        read_pixels(written(tmp_path, np.zeros((2, 2), np.uint8), Rows=60000, Columns=60000), 1)
