"""Photographs in: what is kept of a file, what is dropped, and the DICOM object that it becomes."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame

from adapters.dicom.content.photo_read import load_photograph, scale_of
from adapters.files.conversion import Conversion
from adapters.files.photograph import read_photograph
from gateway.errors import Unusable
from gateway.study import Instance

READS = Conversion(modalities=frozenset({"DMS", "XC"}))
SECRET = b"Jane Roe"


def picture(kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """48 × 64, red growing to the right, green downwards."""
    rows, columns = np.indices((48, 64))
    pixels = np.stack([columns * 4, rows * 5, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind, **options)
    return out.getvalue()


def told_besides(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def wrapped(content: bytes) -> tuple[Any, bytes]:
    (made,) = READS.objects("photo", content, "mole.jpg", 0.0)
    return dcmread(io.BytesIO(made)), made


def decoded(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_baseline_jpeg_is_kept_as_it_is_without_what_it_tells_besides() -> None:
    content = picture(exif=told_besides(), comment=SECRET, quality=90)
    ds, made = wrapped(content)
    assert ds.file_meta.TransferSyntaxUID.name == "JPEG Baseline (Process 1)"
    assert (ds.PhotometricInterpretation, ds.LossyImageCompression) == ("YBR_FULL_422", "01")
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(48 * 64 * 3 / len(content), abs=0.01)
    assert SECRET in content
    assert SECRET not in made
    assert b"Exif" not in made
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    scan = content[content.index(b"\xff\xda"):]
    assert scan.rstrip(b"\0") in frame
    np.testing.assert_array_equal(decoded(frame), decoded(content))


@pytest.mark.parametrize("content", [
    picture(progressive=True), picture(subsampling=0), picture(mode="CMYK"), picture(mode="L"), picture("PNG"),
    picture("PNG", mode="P"), picture("PNG", mode="RGBA"),
], ids=["progressive", "full chroma", "CMYK", "grey", "PNG", "palette", "alpha"])
def test_what_cannot_be_kept_is_plain_rgb(content: bytes) -> None:
    ds, _ = wrapped(content)
    assert ds.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert (ds.PhotometricInterpretation, ds.Rows, ds.Columns) == ("RGB", 48, 64)
    np.testing.assert_array_equal(ds.pixel_array, decoded(content))
    assert ds.LossyImageCompression == ("00" if content.startswith(b"\x89PNG") else "01")


@pytest.mark.parametrize(("orientation", "shape", "reddest"), [
    (3, (48, 64), (0, 0)), (6, (64, 48), (63, 0)), (8, (64, 48), (0, 0)), (2, (48, 64), (0, 0))])
def test_it_is_turned_upright(orientation: int, shape: tuple[int, int], reddest: tuple[int, int]) -> None:
    ds, made = wrapped(picture(exif=told_besides(orientation), quality=95))
    red = ds.pixel_array[..., 0].astype(int)
    assert red.shape == shape
    assert red[reddest] > 200
    assert SECRET not in made


@pytest.mark.parametrize("content", [
    picture()[:200], picture()[:-300], picture("PNG")[:60], b"\xff\xd8\xff\xe0" + bytes(100), picture("PNG")[:-30],
    b"\xff\xd8\xff\xff\xff\xff"], ids=str)
def test_damage_is_told(content: bytes) -> None:
    with pytest.raises(Unusable, match="damaged"):
        read_photograph(content)


def png(columns: int, rows: int) -> bytes:
    """A picture that says it is so large; of its pixels there are only the first."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


@pytest.mark.parametrize("side", [9_000, 9_400, 30_000])
def test_a_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    with pytest.raises(Unusable, match="too large"):
        read_photograph(png(side, side))


def test_vl_photographic_where_less_must_be_known() -> None:
    assert wrapped(picture())[0].SOPClassUID.name == "VL Photographic Image Storage"
    (made,) = Conversion(modalities=frozenset({"DMS"})).objects("photo", picture(), "mole.jpg", 0.0)
    assert dcmread(io.BytesIO(made)).SOPClassUID.name == "Dermoscopic Photography Image Storage"


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("modality", ["XC", "DMS"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_dciodvfy_finds_nothing(modality: str, kind: str, tmp_path: Path) -> None:
    (made,) = Conversion(modalities=frozenset({modality})).objects("photo", picture(kind), "mole", 0.0)
    file = tmp_path / "made.dcm"
    file.write_bytes(made)
    told = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, check=False)
    assert [line for line in told.stderr.splitlines() if line.startswith("Error")] == []


# ------------------------------------------------------------ read again


def stored(content: bytes, folder: Path, **tags: Any) -> Instance:
    file = folder / "photo.dcm"
    file.write_bytes(content)
    return Instance("1.2", "", "1.3", "1.4", "", str(file), 0, "", tags, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_wrapped_photograph_is_read_as_it_looked(tmp_path: Path) -> None:
    content = picture(quality=90)
    read = load_photograph(stored(wrapped(content)[1], tmp_path, PixelSpacing=[0.02, 0.03]))
    assert (read.spacing, read.sop_instance_uid, read.frame) == ((0.02, 0.03), "1.2", 1)
    assert np.abs(read.pixels.astype(int) - decoded(content)).max() <= 2


@pytest.mark.parametrize(("tags", "told"), [
    ({}, None), ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2)), ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
    ({"PixelSpacing": "0.1"}, None), ({"PixelSpacing": [0, 1]}, None), ({"PixelSpacing": [float("nan"), 1]}, None),
    ({"PixelSpacing": [200.0, 200.0]}, None), ({"PixelSpacing": [None, {}]}, None), ({"PixelSpacing": [1.0]}, None)])
def test_a_scale_is_told_or_not(tags: dict[str, Any], told: Any, tmp_path: Path) -> None:
    assert scale_of(stored(b"", tmp_path, **tags)) == told


def test_grey_images_and_damaged_ones_are_no_photographs(tmp_path: Path) -> None:
    ds, made = wrapped(picture("PNG"))
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    del ds.PlanarConfiguration
    ds.PixelData = ds.PixelData[:48 * 64]
    out = io.BytesIO()
    ds.save_as(out)
    with pytest.raises(Unusable, match="no colours"):
        load_photograph(stored(out.getvalue(), tmp_path))
    with pytest.raises(Unusable):
        load_photograph(stored(made[:-2000], tmp_path))
