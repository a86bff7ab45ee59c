"""Of the loaded volumes: the FLAIR, the diffusion trace and the ADC that are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.mr import MrVolume
from gateway.pipeline import Floats
from pipelines.stroke_mr.contrast import MOST_B0, Contrast, contrast_of, of_acquisition

_SAME_MM = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """`dwi`: direction-free (the trace, or the geometric mean of the directions); `adc`: on the pixels of `dwi`."""

    flair: MrVolume | None
    dwi: MrVolume | None
    adc: Floats | None


def choose(volumes: Sequence[MrVolume]) -> Chosen:
    sorted_out: dict[Contrast, list[MrVolume]] = defaultdict(list)
    for volume in volumes:
        sorted_out[contrast_of(of_acquisition(volume.acquisition))].append(volume)
    flair = max(sorted_out[Contrast.FLAIR], key=lambda v: len(v.values), default=None)
    dwi = _trace(sorted_out[Contrast.DWI])
    if dwi is None:
        return Chosen(flair, None, None)
    series = dwi.acquisition.series_instance_uid
    still = [v for v in volumes if v.acquisition.series_instance_uid == series
             and v.acquisition.b_value is not None and v.acquisition.b_value <= MOST_B0]
    return Chosen(flair, dwi, _adc(dwi, sorted_out[Contrast.ADC], still or sorted_out[Contrast.B0]))


def _trace(weighted: Sequence[MrVolume]) -> MrVolume | None:
    """Of the b-value nearest to 1000 with most slices: the trace images as they are, else the mean of the logarithms of
    the directions. Repeats count alike."""
    if not weighted:
        return None
    first = min(weighted, key=lambda v: (-len(v.values), abs((v.acquisition.b_value or 1000) - 1000),
                                         v.acquisition.direction is not None, v.slices))
    alike = [v for v in weighted if same_grid(v, first) and v.acquisition.b_value == first.acquisition.b_value
             and (v.acquisition.direction is None) == (first.acquisition.direction is None)
             and v.acquisition.series_instance_uid == first.acquisition.series_instance_uid]
    logs = np.mean([np.log(np.maximum(v.values, 1e-3)) for v in alike], axis=0)
    return replace(first, values=np.exp(logs).astype(np.float32))


def _adc(dwi: MrVolume, maps: Sequence[MrVolume], unweighted: Sequence[MrVolume]) -> Floats | None:
    """The scanner's map, else ln(S0 / S) / b from the unweighted images; None without either."""
    fitting = [v for v in maps if same_grid(v, dwi)]
    if fitting:
        return fitting[0].values
    still = [v for v in unweighted if same_grid(v, dwi)]
    if not still:
        return None
    b_value = dwi.acquisition.b_value or 1000.0
    rest = np.mean([v.values for v in still], axis=0)
    ratio = np.log(np.maximum(rest, 1e-3)) - np.log(np.maximum(dwi.values, 1e-3))
    return np.asarray(np.clip(ratio / b_value * 1e6, 0, 6000), np.float32)


def same_grid(one: MrVolume, other: MrVolume) -> bool:
    """The same pixels of the same slices."""
    return (one.values.shape == other.values.shape
            and bool(np.allclose(one.spacing, other.spacing, atol=0.05))
            and bool(np.allclose(one.origin, other.origin, atol=_SAME_MM))
            and bool(np.allclose(one.orientation, other.orientation, atol=0.02)))
