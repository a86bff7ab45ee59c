"""A CT volume as NIfTI-1 (`.nii`, `.nii.gz`): axial slices in Hounsfield units, in the patient's order."""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Unusable

_HEADER = 348
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_MOST_VOXELS = 400_000_000
_LARGEST_SIDE = 4096
_STRAIGHT = math.cos(math.radians(15))
_AIR = -200.0
"""HU: a CT of a patient holds air below it."""
_FLIPPED = (True, True, False)
"""Whether an axis that grows to R, A, S (as NIfTI counts) runs against ours (L, P, S)."""


@dataclass(frozen=True, slots=True)
class CtVolume:
    """`slices`: int16 (rows, columns) HU each, foot to head, rows to the back, columns to the left.

    `spacing`: mm between slices, rows, columns. `key`: a digest of the file's voxels.
    """

    voxels: NDArray[np.number]
    slope: float
    intercept: float
    spacing: tuple[float, float, float]
    key: str

    def slices(self) -> Iterator[NDArray[np.int16]]:
        for image in self.voxels:
            values = np.nan_to_num(image.astype(np.float32) * self.slope + self.intercept, nan=-1024.0)
            yield np.rint(np.clip(values, -32768, 32767)).astype(np.int16)


def is_nifti(content: bytes) -> bool:
    """By the magic of NIfTI-1 in one file, packed or not."""
    head = _unpacked(content, 352)[:352]
    return len(head) >= _HEADER and head[344:348] in (b"n+1\0", b"ni1\0")


def read_nifti(content: bytes) -> CtVolume:
    """Raises Unusable: no NIfTI-1 volume, absurd sizes, cut short, no orientation, oblique, or no CT."""
    head = _unpacked(content, 352)
    order = _byte_order(head)
    shape, dtype, start, spacing_unit = _layout(head, order)
    count = math.prod(shape)
    raw = _unpacked(content, start + count * dtype.itemsize)
    if len(raw) < start + count * dtype.itemsize:
        raise Unusable("the NIfTI file is shorter than its header says")
    stored: NDArray[np.number] = np.frombuffer(raw, dtype, count, start).reshape(shape[::-1])
    affine = _affine(head, order) * spacing_unit
    voxels, spacing = _oriented(stored, affine)
    slope, intercept = struct.unpack_from(order + "2f", head, 112)
    slope, intercept = (1.0, 0.0) if not slope or not math.isfinite(slope + intercept) else (slope, intercept)
    edges = np.fmin.reduce(stored, None), np.fmax.reduce(stored, None)
    lowest = min(float(edge) * slope + intercept for edge in edges)
    if not lowest <= _AIR:
        raise Unusable("the volume holds no air: it is no CT in Hounsfield units, the only kind taken as NIfTI")
    return CtVolume(voxels, slope, intercept, spacing, hashlib.sha256(raw).hexdigest())


def _unpacked(content: bytes, length: int) -> bytes:
    """The first `length` bytes at most; what a packed file claims of its size is not believed."""
    if content[:2] != b"\x1f\x8b":
        return content[:length]
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, length)
    except zlib.error:
        return b""


def _byte_order(head: bytes) -> str:
    if len(head) < 352 or head[344:348] != b"n+1\0":
        raise Unusable("the file is no NIfTI-1 volume in one file")
    order = next((o for o in "<>" if struct.unpack_from(o + "i", head)[0] == _HEADER), "")
    if not order:
        raise Unusable("the NIfTI header is damaged")
    return order


def _layout(head: bytes, order: str) -> tuple[tuple[int, int, int], np.dtype[np.number], int, float]:
    """(columns, rows, slices as stored), type, offset of the voxels, millimetres of a unit."""
    dim = struct.unpack_from(order + "8h", head, 40)
    code = struct.unpack_from(order + "h", head, 70)[0]
    offset = struct.unpack_from(order + "f", head, 108)[0]
    sides = dim[1:4]
    if dim[0] not in (3, 4, 5) or any(d not in (0, 1) for d in dim[4:dim[0] + 1]):
        raise Unusable("the NIfTI file holds no single volume of three dimensions", element="dim")
    if not all(1 < side <= _LARGEST_SIDE for side in sides) or math.prod(sides) > _MOST_VOXELS:
        raise Unusable("the NIfTI volume is empty or too large", element="dim")
    if code not in _TYPES:
        raise Unusable("the NIfTI voxels are of a kind that is not read", element="datatype")
    if not 352 <= offset <= 1024 * 1024:
        raise Unusable("the NIfTI header says no place for its voxels", element="vox_offset")
    return sides, np.dtype(order + _TYPES[code]), int(offset), _MILLIMETRES.get(head[123] & 7, 1.0)


def _affine(head: bytes, order: str) -> NDArray[np.float64]:
    """Columns: what a step along each stored axis moves in R, A, S (sform, else qform; NIfTI-1 "methods" 3 and 2)."""
    qform, sform = struct.unpack_from(order + "2h", head, 252)
    if sform > 0:
        rows = np.array(struct.unpack_from(order + "12f", head, 280)).reshape(3, 4)
        return np.asarray(rows[:, :3], dtype=np.float64)
    if qform > 0:
        b, c, d = struct.unpack_from(order + "3f", head, 256)
        pixdim = struct.unpack_from(order + "8f", head, 76)
        sizes = np.array([pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)], dtype=np.float64)
        return np.asarray(_rotation(b, c, d) * sizes, dtype=np.float64)
    raise Unusable("the NIfTI file does not tell the patient's orientation: left and right cannot be known",
                   element="qform_code")


def _rotation(b: float, c: float, d: float) -> NDArray[np.float64]:
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    return np.array([[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                     [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                     [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]])


def _oriented(stored: NDArray[np.number],
              affine: NDArray[np.float64]) -> tuple[NDArray[np.number], tuple[float, float, float]]:
    """(slices, rows, columns) foot to head in LPS order, and mm between them; `stored` is (k, j, i)."""
    lengths = np.linalg.norm(affine, axis=0)
    if not np.isfinite(affine).all() or not ((lengths > 0.05) & (lengths < 50)).all():
        raise Unusable("the voxels of the NIfTI volume have no possible size", element="pixdim")
    towards = affine / lengths
    axes = [int(np.argmax(np.abs(towards[:, i]))) for i in range(3)]
    if sorted(axes) != [0, 1, 2] or min(abs(towards[axes[i], i]) for i in range(3)) < _STRAIGHT:
        raise Unusable("the NIfTI volume is oblique: its axes must lie along the patient's")
    # stored axis i is array axis 2 - i
    place = {axis: 2 - i for i, axis in enumerate(axes)}
    turned = stored.transpose(place[2], place[1], place[0])
    flips = tuple(slice(None, None, -1) if (towards[axis, axes.index(axis)] > 0) == _FLIPPED[axis] else slice(None)
                  for axis in (2, 1, 0))
    z, y, x = (float(lengths[axes.index(axis)]) for axis in (2, 1, 0))
    return turned[flips], (z, y, x)
