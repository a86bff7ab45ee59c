"""What a photograph is, as far as readers care: colours, scale, and which object it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Photograph:
    """One frame of a colour image.

    `pixels`: uint8 RGB (rows, columns, 3), upright. `spacing`: mm per pixel (between rows, between columns), None
    where the object does not say. `sop_instance_uid` and `frame` (1-based) name the source.
    """

    pixels: NDArray[np.uint8]
    spacing: tuple[float, float] | None
    sop_instance_uid: str
    frame: int = 1

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or not self.pixels.size:
            raise ValueError("a photograph is uint8 (rows, columns, 3)")
        if self.spacing is not None and not min(self.spacing) > 0:
            raise ValueError("a photograph's spacing is two positive numbers")
