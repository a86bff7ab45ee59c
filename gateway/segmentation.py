"""A mask drawn on source slices: what becomes a DICOM segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.codes import Code


@dataclass(frozen=True, slots=True)
class Segmentation:
    """One segment on a stack of source slices.

    `mask`: bool (slices, rows, columns), the sources' own pixels, at least one set; `slices`: (SOP Instance UID,
    1-based frame) of each; `origins`: float64 (slices, 3), patient coordinates (LPS, mm) of each slice's first voxel;
    `orientation`: six direction cosines; `spacing`: mm (between slices, rows, columns). `label`: for people;
    `category`, `kind`: Segmented Property Category and Type (PS3.3 C.8.20.2); `algorithm`: name and version.
    """

    mask: NDArray[np.bool_]
    slices: tuple[tuple[str, int], ...]
    origins: NDArray[np.float64]
    orientation: tuple[float, ...]
    spacing: tuple[float, float, float]
    frame_of_reference_uid: str
    label: str
    category: Code
    kind: Code
    algorithm: tuple[str, str]

    def __post_init__(self) -> None:
        if self.mask.ndim != 3 or self.mask.dtype != np.bool_ or not self.mask.any():
            raise ValueError("a segmentation is bool (slices, rows, columns) with at least one pixel set")
        if not len(self.mask) == len(self.slices) == len(self.origins) or len(self.orientation) != 6:
            raise ValueError("every slice of a segmentation has its source and its place")
