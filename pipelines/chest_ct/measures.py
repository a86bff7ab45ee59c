"""Measured from the voxels alone, true whatever the networks say: lung volumes and densities."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gateway.codes import Code
from gateway.pipeline import Volume
from gateway.result import Measurement
from pipelines.chest_ct.grid import Working
from pipelines.chest_ct.lungs import Lungs

MILLILITRE = Code("mL", "UCUM", "mL")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")
VOLUME = Code("CTLUNGVOL", "99TRIAGE", "Lung volume")
RIGHT = Code("CTLUNGVOLR", "99TRIAGE", "Right lung volume")
LEFT = Code("CTLUNGVOLL", "99TRIAGE", "Left lung volume")
DENSITY = Code("CTLUNGMEAN", "99TRIAGE", "Mean lung density")
LOW = Code("CTLAA950", "99TRIAGE", "Lung below -950 HU")
HIGH = Code("CTHAA300", "99TRIAGE", "Lung above -300 HU")
_BORDER_HU = -300.0


def measure(volume: Volume, working: Working, lungs: Lungs) -> tuple[Measurement, ...]:
    """Volumes (mL), mean density (HU), shares below −950 and above −300 HU (%), over the source's own voxels.

    Lung is every voxel inside the lung mask; on its rim of one working pixel only air-filled ones count, so that the
    chest wall does not.
    """
    structure = ndimage.generate_binary_structure(2, 1)[None]
    core = ndimage.binary_erosion(lungs.whole, structure)
    count, total, low, high = 0, 0.0, 0, 0
    for slab in lungs.slabs:
        inside = np.flatnonzero(working.to_source(lungs.whole[slab]))
        sure = working.to_source(core[slab]).ravel()[inside]
        for index in working.slices_of(int(slab)):
            values = volume.hu[index].ravel()[inside]
            values = values[sure | (values < _BORDER_HU)]
            count += values.size
            total += float(values.sum(dtype=np.float64))
            low += int((values < -950).sum())
            high += int((values > -300).sum())
    millilitres = count * float(np.prod(volume.spacing)) / 1000
    right = lungs.volumes_ml[0] / sum(lungs.volumes_ml)
    return (
        Measurement(VOLUME, round(millilitres), MILLILITRE),
        Measurement(RIGHT, round(millilitres * right), MILLILITRE),
        Measurement(LEFT, round(millilitres) - round(millilitres * right), MILLILITRE),
        Measurement(DENSITY, round(total / max(count, 1), 1), HOUNSFIELD),
        Measurement(LOW, round(100 * low / max(count, 1), 2), PERCENT),
        Measurement(HIGH, round(100 * high / max(count, 1), 2), PERCENT),
    )
