"""Measured from the voxels alone, true whatever the networks say: volumes and densities, together and of each lung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.codes import Code
from gateway.pipeline import Array, Volume
from gateway.result import Measurement
from pipelines.chest_ct.grid import Working
from pipelines.chest_ct.lungs import Lungs

MILLILITRE = Code("mL", "UCUM", "mL")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")
VOLUME = Code("CTLUNGVOL", "99TRIAGE", "Lung volume")
DENSITY = Code("CTLUNGMEAN", "99TRIAGE", "Mean lung density")
_LOW_HU, _PALE_HU, _DENSE_HU = -950.0, -700.0, -300.0
_Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Codes:
    """What is told of both lungs or of one."""

    volume: Code
    density: Code
    low: Code
    pale: Code
    dense: Code
    region: Code


BOTH = _Codes(
    VOLUME, DENSITY, Code("CTLAA950", "99TRIAGE", "Lung below -950 HU"),
    Code("CTPALE", "99TRIAGE", "Lung from -700 to -300 HU"), Code("CTHAA300", "99TRIAGE", "Lung above -300 HU"),
    Code("CTDENSE", "99TRIAGE", "Largest dense region of the lungs"))
RIGHT = _Codes(
    Code("CTLUNGVOLR", "99TRIAGE", "Right lung volume"), Code("CTLUNGMEANR", "99TRIAGE", "Mean density, right lung"),
    Code("CTLAA950R", "99TRIAGE", "Right lung below -950 HU"),
    Code("CTPALER", "99TRIAGE", "Right lung from -700 to -300 HU"),
    Code("CTHAA300R", "99TRIAGE", "Right lung above -300 HU"),
    Code("CTDENSER", "99TRIAGE", "Largest dense region, right lung"))
LEFT = _Codes(
    Code("CTLUNGVOLL", "99TRIAGE", "Left lung volume"), Code("CTLUNGMEANL", "99TRIAGE", "Mean density, left lung"),
    Code("CTLAA950L", "99TRIAGE", "Left lung below -950 HU"),
    Code("CTPALEL", "99TRIAGE", "Left lung from -700 to -300 HU"),
    Code("CTHAA300L", "99TRIAGE", "Left lung above -300 HU"),
    Code("CTDENSEL", "99TRIAGE", "Largest dense region, left lung"))


def measure(volume: Volume, working: Working, lungs: Lungs) -> tuple[Measurement, ...]:
    """Of both lungs, the right and the left: volume (mL), mean density (HU), shares below −950, from −700 to −300 and
    above −300 HU (%), over the source's own voxels; largest connected region above −300 HU (mL, on the working grid).

    Lung is every voxel inside the lung mask; on its rim of one working pixel only air-filled ones count, so that the
    chest wall does not. Vessels and the windpipe's branches are inside.
    """
    core = ndimage.binary_erosion(lungs.whole, ndimage.generate_binary_structure(2, 1)[None])
    right, left = _sums(volume, working, lungs, core)
    dense = core & (working.hu > _DENSE_HU)
    voxel_ml = float(np.prod(volume.spacing)) / 1000
    cell_ml = float(np.prod(working.spacing)) / 1000
    told = ((BOTH, right + left, dense), (RIGHT, right, dense & ~lungs.left), (LEFT, left, dense & lungs.left))
    return tuple(measurement for codes, sums, region in told
                 for measurement in _told(codes, sums, voxel_ml, _largest(region) * cell_ml))


def _sums(volume: Volume, working: Working, lungs: Lungs, core: Array) -> tuple[_Sums, _Sums]:
    """Of the right and the left lung: voxels, sum of HU, and how many are below −950, from −700 to −300, above −300."""
    totals = np.zeros((2, 5))
    for slab in lungs.slabs:
        inside = np.flatnonzero(working.to_source(lungs.whole[slab]))
        sure = working.to_source(core[slab]).ravel()[inside]
        on_left = working.to_source(lungs.left[slab]).ravel()[inside]
        for index in working.slices_of(int(slab)):
            values = volume.hu[index].ravel()[inside]
            counted = sure | (values < _DENSE_HU)
            for side, own in enumerate((counted & ~on_left, counted & on_left)):
                totals[side] += _of(values[own])
    return totals[0], totals[1]


def _of(values: Array) -> _Sums:
    return np.array([values.size, values.sum(dtype=np.float64), (values < _LOW_HU).sum(),
                     ((values >= _PALE_HU) & (values <= _DENSE_HU)).sum(), (values > _DENSE_HU).sum()], np.float64)


def _largest(region: Array) -> int:
    """Cells of the largest piece that hangs together by faces."""
    pieces, count = ndimage.label(region)
    return int(np.bincount(pieces.ravel())[1:].max()) if count else 0


def _told(codes: _Codes, sums: _Sums, voxel_ml: float, region_ml: float) -> tuple[Measurement, ...]:
    count, total, low, pale, dense = sums
    if not count:
        return (Measurement(codes.volume, 0, MILLILITRE),)
    return (
        Measurement(codes.volume, round(count * voxel_ml), MILLILITRE),
        Measurement(codes.density, round(total / count, 1), HOUNSFIELD),
        Measurement(codes.low, round(100 * low / count, 2), PERCENT),
        Measurement(codes.pale, round(100 * pale / count, 2), PERCENT),
        Measurement(codes.dense, round(100 * dense / count, 2), PERCENT),
        Measurement(codes.region, round(region_ml, 1), MILLILITRE),
    )
