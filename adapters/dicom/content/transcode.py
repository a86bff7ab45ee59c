"""A stored object as Explicit VR Little Endian, the default transfer syntax of WADO-RS (PS3.18 8.7.3.5)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from adapters.dicom.content import part10
from adapters.dicom.content.frames import reading
from gateway.errors import Unusable

LARGEST = 512 * 1024 * 1024
"""Bytes of a file that is transcoded, which is done in memory; larger ones are told as they are stored."""
_CORRECTED = {JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000}
"""Syntaxes whose samples may need a sign that their bit stream does not know (JPEG-LS never does): the library gives it
to frames that are asked for one by one, and fails where it is asked for all at once."""
_PIXEL_DATA = 0x7FE00010
_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_PIECE = 1024 * 1024


def to_explicit_little_endian(path: Path, transfer_syntax_uid: str) -> bytes:
    """Part 10 bytes; pixels decoded (colours to RGB), every attribute kept, the same UIDs.

    Raises Unusable where it cannot be done, Transient where the file is out of reach.
    """
    with reading():
        if path.stat().st_size > LARGEST:
            raise Unusable("The object is too large to be transcoded; ask for it with transfer-syntax=*.")
        if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            return _inflated(path.read_bytes())
        dataset = dcmread(path)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_compressed and "PixelData" in dataset:
            frames = int(dataset.get("NumberOfFrames") or 1)
            singly = range(frames) if syntax in _CORRECTED else None
            dataset.decompress(generate_instance_uid=False, indices=singly)
            _require_frames(dataset, frames)
        elif not syntax.is_little_endian:
            _swap(dataset, max(2, int(dataset.get("BitsAllocated") or 16) // 8))
        return _written(dataset)


def _require_frames(dataset: Dataset, frames: int) -> None:
    """The library stops at the last frame that it finds, and then says that there are no more."""
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    wanted = samples * frames * int(dataset.BitsAllocated) // 8
    if len(dataset.PixelData) < wanted:
        raise Unusable("The object has fewer frames than it says; ask for it with transfer-syntax=*.")


def _swap(dataset: Dataset, sample_bytes: int) -> None:
    """Words of big endian values to little endian: the library turns round numbers only."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap(item, sample_bytes)
        elif element.VR in _WORD_BYTES and element.value:
            size = sample_bytes if element.tag == _PIXEL_DATA else _WORD_BYTES[element.VR]
            element.value = _swapped(element.value, size)


def _swapped(value: bytes, size: int) -> bytes:
    return np.frombuffer(value, f">u{size}").astype(f"<u{size}").tobytes() if len(value) % size == 0 else value


def plain_value(dataset: Dataset, element: DataElement) -> bytes:
    """A binary value in little endian, as bulk data are told (PS3.18 8.7.3). `dataset`: the whole object."""
    value = bytes(element.value or b"")
    if dataset.file_meta.TransferSyntaxUID.is_little_endian:
        return value
    return _swapped(value, _WORD_BYTES.get(str(element.VR), 1))


def _written(dataset: Dataset) -> bytes:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    plain = Dataset(dataset)
    dcmwrite(out, FileDataset(out, plain, preamble=b"\0" * 128, file_meta=dataset.file_meta),
             implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def _inflated(content: bytes) -> bytes:
    """Deflated is Explicit VR Little Endian within (PS3.5 A.5): inflating changes no element."""
    header, dataset = part10.split(content)
    meta = part10.parse(header)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(dataset, LARGEST)
    if not inflater.eof:
        raise Unusable("The deflated object is cut short or too large to be inflated.")
    return part10.build(part10.FileMeta(meta.sop_class_uid, meta.sop_instance_uid, str(ExplicitVRLittleEndian),
                                        meta.source_ae_title)) + plain


def stored_pieces(path: Path) -> Iterator[bytes]:
    """The file's bytes, a piece at a time. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
