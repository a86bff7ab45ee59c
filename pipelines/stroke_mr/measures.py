"""What is measured of an outlined lesion: volume, slices, side, arterial territory, insula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.codes import Code
from gateway.result import Measurement
from pipelines.stroke_mr.labels import INSULA, SIDES, TERRITORIES, TERRITORY_CODES
from pipelines.stroke_mr.lesions import Seen
from pipelines.stroke_mr.space import territories

MILLILITRE = Code("mL", "UCUM", "mL")
COUNT = Code("1", "UCUM", "no units")
VOLUME = Code("118565006", "SCT", "Volume")
SLICES = Code("STROKESLICES", "99TRIAGE", "Slices with lesion")
SPOTS = Code("STROKESPOTS", "99TRIAGE", "Separate lesions")
_LEAST_ML = 0.05
"""Parts of a lesion smaller than this are not told."""
_SPOT_ML = 0.1


@dataclass(frozen=True, slots=True)
class Extent:
    """mL of a lesion: all of it, by (side, territory), by side of the insula; how many separate pieces of 0.1 mL."""

    volume: float
    slices: int
    spots: int
    by_territory: dict[tuple[str, str], float]
    insula: dict[str, float]
    largest_spot: float = 0.0

    @property
    def sides(self) -> tuple[str, ...]:
        """Where at least a tenth of the lesion lies."""
        return tuple(side for side in SIDES if self._on(side) >= 0.1 * max(sum(map(self._on, SIDES)), 1e-9) > 0)

    def _on(self, side: str) -> float:
        return sum(ml for (where, _), ml in self.by_territory.items() if where == side)

    @property
    def main(self) -> tuple[str, str] | None:
        """(side, territory) that holds most of it."""
        return max(self.by_territory, key=lambda key: self.by_territory[key], default=None)


def extent_of(seen: Seen) -> Extent:
    """Lesion outside every territory (the ventricles' edge, fluid) counts for the volume alone."""
    voxel = float(np.prod(seen.series.volume.spacing)) / 1000
    counts = np.zeros(64, np.int64)
    for index in np.flatnonzero(seen.mask.any((1, 2))):
        numbers = territories(int(index), seen.series.fit, seen.mask.shape[1:])
        counts += np.bincount(numbers[seen.mask[index]], minlength=64)
    by_territory = {(side, name): float(sum(counts[n + offset] for n in odd)) * voxel
                    for offset, side in enumerate(SIDES) for name, odd in TERRITORIES.items()}
    sizes = _spots(seen.mask) * voxel
    return Extent(seen.volume_ml, seen.slices, int((sizes >= _SPOT_ML).sum()),
                  {key: ml for key, ml in by_territory.items() if ml >= _LEAST_ML},
                  {side: float(counts[INSULA + offset]) * voxel for offset, side in enumerate(SIDES)
                   if counts[INSULA + offset] * voxel >= _LEAST_ML}, float(sizes.max(initial=0.0)))


def _spots(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels of each connected piece."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return np.bincount(pieces.ravel(), minlength=count + 1)[1:]


def measurements_of(extent: Extent) -> tuple[Measurement, ...]:
    """Volume first, then slices, pieces, territories, insula."""
    made = [Measurement(VOLUME, round(extent.volume, 2), MILLILITRE, "Lesion volume"),
            Measurement(SLICES, extent.slices, COUNT), Measurement(SPOTS, extent.spots, COUNT)]
    for (side, name), ml in sorted(extent.by_territory.items(), key=lambda item: -item[1]):
        code = Code(f"STROKE{TERRITORY_CODES[name]}{side[0].upper()}", "99TRIAGE", territory_name(side, name))
        made.append(Measurement(code, round(ml, 2), MILLILITRE))
    for side, ml in extent.insula.items():
        code = Code(f"STROKEINS{side[0].upper()}", "99TRIAGE", f"Lesion in the {side} insula")
        made.append(Measurement(code, round(ml, 2), MILLILITRE))
    return tuple(made)


def territory_name(side: str, name: str) -> str:
    return f"Lesion in the territory of the {side} {name}"
