"""The ABCD of a lesion as plain numbers, whatever the model says: asymmetry, border, colours, diameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gateway.codes import Code
from gateway.result import Measurement
from pipelines.dermoscopy.features import colour_shares, colours_seen
from pipelines.dermoscopy.lesion import Lesion
from pipelines.dermoscopy.prepare import SIDE, Prepared
from pipelines.dermoscopy.shape import asymmetry, frame_of, irregularity, outline

NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETRE = Code("mm", "UCUM", "mm")
PERCENT = Code("%", "UCUM", "percent")
COUNT = Code("{count}", "UCUM", "count")

ASYMMETRY = Code("ASYMMETRY", "99TRIAGE", "Asymmetry of the lesion")
BORDER = Code("BORDERIRR", "99TRIAGE", "Border irregularity")
SHARPNESS = Code("BORDERSTEP", "99TRIAGE", "Colour difference at the border")
COLOURS = Code("COLOURS", "99TRIAGE", "Colours in the lesion")
AREA_SHARE = Code("AREASHARE", "99TRIAGE", "Share of the picture covered by the lesion")
DIAMETER = Code("81827009", "SCT", "Diameter")
NEVUS_PROBABILITY = Code("PNEVUS", "99TRIAGE", "Probability of nevus")


@dataclass(frozen=True, slots=True)
class Abcd:
    """`asymmetry`: share of the area that does not lie on itself when folded, mean of the two axes; `irregularity`:
    perimeter² / (4 π area); `step`: CIE76 difference across the border; `colours`: names of the six that are seen;
    `diameter`: mm, None without a scale; `share`: of the picture."""

    asymmetry: float
    irregularity: float
    step: float
    colours: tuple[str, ...]
    diameter: float | None
    share: float

    def measurements(self) -> tuple[Measurement, ...]:
        told = [Measurement(ASYMMETRY, round(100 * self.asymmetry, 1), PERCENT),
                Measurement(BORDER, round(self.irregularity, 2), NO_UNITS),
                Measurement(SHARPNESS, round(self.step, 1), NO_UNITS),
                Measurement(COLOURS, float(len(self.colours)), COUNT)]
        if self.diameter is not None:
            told.append(Measurement(DIAMETER, round(self.diameter, 1), MILLIMETRE))
        return (*told, Measurement(AREA_SHARE, round(100 * self.share, 1), PERCENT))


def measure(prepared: Prepared, lesion: Lesion, shape: tuple[int, int], spacing: tuple[float, float] | None) -> Abcd:
    """`shape`: rows and columns of the photograph itself, which the square one was squeezed from."""
    true = _unsqueezed(lesion, shape)
    folded = asymmetry(true, frame_of(true))
    return Abcd(float(np.mean(folded)), irregularity(true), _step(prepared, lesion),
                colours_seen(colour_shares(prepared, lesion)), _diameter(lesion, shape, spacing),
                float(lesion.mask.mean()))


def _unsqueezed(lesion: Lesion, shape: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """The mask in the photograph's own proportions, its longer side SIDE pixels."""
    longest = max(shape)
    size = [max(round(SIDE * length / longest), 2) for length in shape]
    rows, columns = (np.minimum((np.arange(n) + 0.5) * SIDE / n, SIDE - 1).astype(int) for n in size)
    return np.asarray(lesion.mask[rows][:, columns])


def _step(prepared: Prepared, lesion: Lesion) -> float:
    """Between the rim of the lesion and the skin beside it, 5 pixels each way."""
    depth = ndimage.distance_transform_edt(lesion.mask)
    away = ndimage.distance_transform_edt(~lesion.mask)
    inside, outside = (depth > 0) & (depth <= 5), (away > 0) & (away <= 5) & ~prepared.outside
    if not outside.any():
        return 0.0
    return float(np.linalg.norm(prepared.lab[inside].mean(axis=0) - prepared.lab[outside].mean(axis=0)))


def _diameter(lesion: Lesion, shape: tuple[int, int], spacing: tuple[float, float] | None) -> float | None:
    """The largest distance between two points of the outline."""
    if spacing is None:
        return None
    points = np.argwhere(outline(lesion.mask)) * np.array(
        [shape[0] / SIDE * spacing[0], shape[1] / SIDE * spacing[1]])
    some = points[::max(len(points) // 400, 1)]
    apart = some[:, None] - some[None]
    return float(np.sqrt((apart**2).sum(axis=-1).max()))
