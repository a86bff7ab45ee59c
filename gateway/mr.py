"""What a magnetic resonance volume is, as far as readers care: values, place in space, and how it was acquired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.result import Problem


@dataclass(frozen=True, slots=True)
class MrAcquisition:
    """How a volume was made, as its objects say; None or "" where they do not. Times in ms, b-value in s/mm².

    `names`: sequence and pulse sequence names (never the free description); `contrast`: AcquisitionContrast (PS3.3
    C.8.13.3.1.1) of enhanced objects; `direction`: the diffusion gradient's unit vector, None for b = 0 and for
    direction-free (trace) images; `echo`, `timepoint`: number among the echoes and repeats of one series.
    """

    series_instance_uid: str
    frame_of_reference_uid: str = ""
    image_type: tuple[str, ...] = ()
    names: str = ""
    contrast: str = ""
    description: str = ""
    body_part: str = ""
    manufacturer: str = ""
    repetition_time: float | None = None
    echo_time: float | None = None
    inversion_time: float | None = None
    b_value: float | None = None
    direction: tuple[float, float, float] | None = None
    echo: int = 1
    timepoint: int = 1


@dataclass(frozen=True, slots=True)
class MrVolume:
    """One stacked axial MR volume: one b-value, direction, echo and time.

    `values`: float32 (slices, rows, columns) after the object's own rescale, foot to head, padding 0; `spacing`: mm
    (between slices, rows, columns); `positions`: mm along the normal, ascending; `origin`: patient coordinates (LPS,
    mm) of the first slice's first voxel; `orientation`: six direction cosines; `slices`: (SOP Instance UID, 1-based
    frame) of each; `problems`: as of `gateway.pipeline.Volume`.
    """

    values: NDArray[np.float32]
    spacing: tuple[float, float, float]
    positions: NDArray[np.float64]
    slices: tuple[tuple[str, int], ...]
    origin: tuple[float, float, float]
    orientation: tuple[float, ...]
    acquisition: MrAcquisition
    problems: tuple[Problem, ...] = ()
