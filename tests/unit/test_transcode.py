"""Explicit VR Little Endian of what came compressed: real files of many encoders, and samples with fewer bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from adapters.dicom.content.transcode import to_explicit_little_endian
from gateway.errors import Unusable

FOLDER = Path(str(get_testdata_file("CT_small.dcm"))).parent
UNDECODABLE = {"JPEG-lossy.dcm", "JPGExtended.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"}
"""JPEG Extended with samples of 12 bits, for which no decoder is installed, and a damaged stream."""


def compressed() -> list[str]:
    found = []
    for path in sorted(FOLDER.glob("*.dcm")):
        dataset = dcmread(path, force=True)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if "PixelData" in dataset and syntax is not None and syntax.is_encapsulated:
            found.append(path.name)
    return found


def transcoded(path: Path) -> np.ndarray:
    content = to_explicit_little_endian(path, str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID))
    dataset = dcmread(io.BytesIO(content))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    pixels: np.ndarray = dataset.pixel_array
    return pixels


def test_there_are_many() -> None:
    syntaxes = {dcmread(FOLDER / name, stop_before_pixels=True).file_meta.TransferSyntaxUID for name in compressed()}
    assert len(compressed()) > 30
    assert len(syntaxes) >= 8


@pytest.mark.parametrize("name", [name for name in compressed() if name not in UNDECODABLE])
def test_a_real_file_keeps_its_values(name: str) -> None:
    np.testing.assert_array_equal(transcoded(FOLDER / name), dcmread(FOLDER / name).pixel_array)


@pytest.mark.parametrize("name", sorted(UNDECODABLE))
def test_what_cannot_be_decoded_says_how_to_ask_for_it(name: str) -> None:
    with pytest.raises(Unusable, match=r"transfer-syntax=[*]"):
        transcoded(FOLDER / name)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("stored", [10, 12, 14, 16])
@pytest.mark.parametrize("frames", [1, 3])
def test_signed_samples_of_fewer_bits_keep_their_sign(
        syntax: UID, stored: int, frames: int, tmp_path: Path) -> None:
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    lowest = -(1 << stored - 1)
    first = np.clip(dataset.pixel_array.astype(int) - 900, lowest, -lowest - 1).astype("<i2")
    values = np.stack([np.roll(first, n) for n in range(frames)])
    assert values.min() < 0
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, stored, stored - 1
    dataset.NumberOfFrames = frames
    del dataset.PixelPaddingValue
    dataset.compress(syntax, values if frames > 1 else values[0], generate_instance_uid=False)
    dataset.save_as(tmp_path / "signed.dcm")
    np.testing.assert_array_equal(transcoded(tmp_path / "signed.dcm").reshape(values.shape), values)
