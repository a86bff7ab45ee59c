"""Our own asserts on a secondary capture (PS3.3 A.8.1)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset


def check_picture(ds: Dataset) -> list[str]:
    """Sentences, empty for a sound picture. Raises what pydicom raises for missing attributes (see `conform`)."""
    return [*_pixels(ds), *_words(ds)]


def _pixels(ds: Dataset) -> Iterator[str]:
    frames = int(ds.get("NumberOfFrames") or 1)
    expected = ds.Rows * ds.Columns * ds.SamplesPerPixel * frames * (ds.BitsAllocated // 8)
    if len(ds.PixelData) not in (expected, expected + expected % 2):
        yield "Pixel Data is not as long as Rows, Columns and Samples per Pixel say"
    if ds.BitsAllocated != 8 or ds.PhotometricInterpretation not in ("RGB", "MONOCHROME2"):
        yield "the picture is neither 8 bit RGB nor 8 bit MONOCHROME2"


def _words(ds: Dataset) -> Iterator[str]:
    if ds.get("BurnedInAnnotation") not in ("YES", "NO"):
        yield "Burned In Annotation does not say YES or NO"
    if not ds.get("ContributingEquipmentSequence"):
        yield "no Contributing Equipment: the model is not named"
    if ds.get("SpecificCharacterSet") != "ISO_IR 192":
        yield "Specific Character Set is not ISO_IR 192"
