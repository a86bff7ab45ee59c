"""The working grid: every series, whatever its voxels, as slabs of 5 mm with pixels of 2.25 mm, upright.

Resampling averages over area, so noise and partial volume come out alike for thin and thick slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gateway.pipeline import Array, Floats, Volume

PIXEL = 2.25
"""mm, in plane."""
SLAB = 5.0
"""mm, between slabs; thicker slices stay as they are."""


@dataclass(frozen=True, slots=True)
class Working:
    """`hu` float32 (slabs, rows, columns), foot to head, anterior at the top, patient's right at the left.

    `spacing` mm. `slab_of`: the slab of each source slice. `flips`: how source pictures were turned upright
    (transpose, upside down, mirrored).
    """

    hu: Floats
    spacing: tuple[float, float, float]
    slab_of: Array
    source_shape: tuple[int, int]
    source_spacing: tuple[float, float]
    flips: tuple[bool, bool, bool]

    def slices_of(self, slab: int) -> Array:
        """Indices of the source slices in a slab."""
        return np.flatnonzero(self.slab_of == slab)

    def to_source(self, picture: Array) -> Array:
        """A picture on the working grid as the nearest values on the source's pixels, in the source's own turning."""
        rows, columns = self._upright_shape()
        at_row = np.minimum((np.arange(rows) + 0.5) * picture.shape[0] / rows, picture.shape[0] - 1).astype(int)
        at_column = np.minimum((np.arange(columns) + 0.5) * picture.shape[1] / columns,
                               picture.shape[1] - 1).astype(int)
        return turned_back(picture[np.ix_(at_row, at_column)], self.flips)

    def to_source_smooth(self, picture: Array) -> Floats:
        """As `to_source`, interpolated between the working pixels."""
        rows, columns = self._upright_shape()
        spread = between(picture.shape[0], rows) @ picture.astype(np.float32) @ between(picture.shape[1], columns).T
        return np.asarray(turned_back(spread, self.flips), np.float32)

    def _upright_shape(self) -> tuple[int, int]:
        rows, columns = self.source_shape
        return (columns, rows) if self.flips[0] else (rows, columns)


def working(volume: Volume) -> Working:
    """Resample a volume; memory is that of the small copy."""
    flips = _flips(volume.orientation)
    between_rows, between_columns = volume.spacing[1:]
    rows, columns = volume.hu.shape[1:]
    if flips[0]:
        rows, columns, between_rows, between_columns = columns, rows, between_columns, between_rows
    down, across = averaging(rows, between_rows, PIXEL), averaging(columns, between_columns, PIXEL)
    sparse_down, sparse_across = sparse.csr_array(down), sparse.csr_array(across)
    slab_of = _slabs(volume)
    hu = np.empty((int(slab_of[-1]) + 1, down.shape[0], across.shape[0]), np.float32)
    for slab in range(hu.shape[0]):
        mean = np.clip(volume.hu[slab_of == slab], -1024, 3071).mean(0)
        hu[slab] = (sparse_across @ (sparse_down @ turned(mean, flips)).T).T
    spacing = (float(np.ptp(volume.positions)) + volume.spacing[0]) / hu.shape[0]
    return Working(hu, (spacing, rows * between_rows / down.shape[0], columns * between_columns / across.shape[0]),
                   slab_of, (volume.hu.shape[1], volume.hu.shape[2]), (volume.spacing[1], volume.spacing[2]), flips)


def _slabs(volume: Volume) -> Array:
    """The slab number of each slice: by position, without empty slabs (a gap is named elsewhere)."""
    height = max(SLAB, volume.spacing[0])
    number = np.floor((volume.positions - volume.positions[0]) / height + 1e-6).astype(int)
    return np.unique(number, return_inverse=True)[1]


def _flips(orientation: tuple[float, ...]) -> tuple[bool, bool, bool]:
    """(transpose, upside down, mirrored) that bring a picture to rows along +x and columns along +y of the patient."""
    row, column = orientation[:3], orientation[3:]
    if abs(row[1]) > abs(row[0]):
        row, column = column, row
        return True, column[1] < 0, row[0] < 0
    return False, column[1] < 0, row[0] < 0


def turned(picture: Array, flips: tuple[bool, bool, bool]) -> Array:
    """Source turning → upright."""
    picture = picture.T if flips[0] else picture
    picture = picture[::-1] if flips[1] else picture
    return picture[:, ::-1] if flips[2] else picture


def turned_back(picture: Array, flips: tuple[bool, bool, bool]) -> Array:
    """Upright → source turning."""
    picture = picture[:, ::-1] if flips[2] else picture
    picture = picture[::-1] if flips[1] else picture
    return picture.T if flips[0] else picture


def averaging(size: int, spacing: float, target: float) -> Floats:
    """(new, size) weights that average each new pixel over the area it covers."""
    new = max(1, round(size * spacing / target))
    edges = np.arange(new + 1) * size / new
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)[None, :]
    cover = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    return np.asarray(cover / cover.sum(1, keepdims=True), np.float32)


def between(size: int, new: int) -> Floats:
    """(new, size) weights of linear interpolation between pixel centres."""
    at = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)[:, None]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(size)[None, :]), 0, 1), np.float32)
