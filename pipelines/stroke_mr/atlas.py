"""Standard space: arterial territories, and how often acute lesions lie where. Made by `train_atlas`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.stroke_mr.labels import SLICE

FILE = Path(__file__).with_name("atlas.npz")
SHAPE = (136, *SLICE)
"""Slices foot to head, rows front to back, columns: 1 mm voxels."""
PRIOR_STEP = 4
"""mm of the map of how often."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """`territory`: uint8 `SHAPE`, 0 outside the brain, else the number of `ArterialAtlas136.txt`; slice 0 is lowest,
    row 0 anterior, column 0 the patient's left. `prior`: uint8, every fourth mm, how often acute lesions lie there
    (255: most often)."""

    territory: NDArray[np.uint8]
    prior: NDArray[np.uint8]

    def usual(self, level: float) -> Floats:
        """float32 `SLICE`: how often lesions lie on the slice `level` (0 … 135), 1 where most often."""
        at = np.clip((level + 0.5) / PRIOR_STEP - 0.5, 0, len(self.prior) - 1)
        low = int(at)
        high = min(low + 1, len(self.prior) - 1)
        plane = (self.prior[low] * (1 - (at - low)) + self.prior[high] * (at - low)) / np.float32(255)
        large = ndimage.zoom(plane, PRIOR_STEP, order=1, mode="nearest", grid_mode=True)
        return np.asarray(large[:SLICE[0], :SLICE[1]], np.float32)


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The atlas that comes with the reader."""
    with np.load(FILE) as held:
        return Atlas(held["territory"], held["prior"])
