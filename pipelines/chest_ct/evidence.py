"""Where the networks' answers lie in the source pictures: regions, heat on every slice, the most telling one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gateway.evidence_map import EvidenceVolume, as_bytes
from gateway.pipeline import Array, Floats, KeyImage, Volume
from gateway.result import ImageRegion
from pipelines.chest_ct.grid import Working, turned_back
from pipelines.chest_ct.labels import ABNORMAL, UNUSUAL
from pipelines.chest_ct.lungs import Lungs
from pipelines.chest_ct.views import View, smooth_evidence

WINDOW_CENTRE, WINDOW_WIDTH = -600.0, 1500.0
"""Lung window, HU."""
EVIDENCE_SHOWN = 0.25
"""Probability of a cell where the heat begins; it is full at 1."""
ERROR_SHOWN = 0.12, 0.6
"""Reconstruction error where the heat begins and where it is full."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was computed for one study. `kinds`: the classifier's outputs; `scores` (slabs shown, kinds), `maps`
    (slabs shown, kinds, cells, cells): logits; `error` (slabs shown, SIZE, SIZE)."""

    volume: Volume
    working: Working
    lungs: Lungs
    view: View
    kinds: tuple[str, ...]
    scores: Floats
    maps: Floats
    error: Floats

    def telling(self, label: str) -> int:
        """The shown slab (index into `view.slabs`) that says most about a kind, or about the error."""
        if label == UNUSUAL:
            return int(np.argmax(self.error.reshape(len(self.error), -1).max(1)))
        return int(np.argmax(self.scores[:, self.kinds.index(label)]))

    def fullest(self) -> int:
        """The shown slab with the most lung."""
        return int(np.argmax(self.lungs.whole[self.view.slabs].sum((1, 2))))

    def heat(self, label: str, shown: int) -> Floats:
        """EvidenceMap in [0, 1] for a label on the working picture of one shown slab, inside the body."""
        if label == UNUSUAL:
            square = np.clip((self.error[shown] - ERROR_SHOWN[0]) / (ERROR_SHOWN[1] - ERROR_SHOWN[0]), 0, 1)
        else:
            probability = smooth_evidence(self.maps[shown, self.kinds.index(label)])
            square = np.clip((probability - EVIDENCE_SHOWN) / (1 - EVIDENCE_SHOWN), 0, 1)
        slab = int(self.view.slabs[shown])
        height, width = self.working.hu.shape[1:]
        return np.asarray(self.view.put(square, (height, width)) * self.lungs.body[slab], np.float32)

    def source_index(self, shown: int) -> int:
        """The source slice in the middle of a shown slab."""
        slices = self.working.slices_of(int(self.view.slabs[shown]))
        return int(slices[slices.size // 2])


def region(reading: Reading, label: str) -> ImageRegion | None:
    """The box around the strongest spot of a label's evidence, on that label's most telling slice, in source pixels."""
    shown = reading.telling(label)
    heat = reading.heat(label, shown)
    spots, count = ndimage.label(heat >= max(0.5 * float(heat.max()), 1e-3))
    if not count:
        return None
    strongest = int(spots[np.unravel_index(int(heat.argmax()), heat.shape)])
    box = _box(reading.working.to_source(spots == strongest))
    if box is None:
        return None
    uid, frame = reading.volume.slices[reading.source_index(shown)]
    return ImageRegion(uid, *box, frame)


def _box(mask: Array) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) of the pixels that are set; None where they make no area."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size < 2 or columns.size < 2:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def volume_of(reading: Reading, present: tuple[str, ...]) -> EvidenceVolume:
    """The heat of every kind on every slice, in the source's turning; `abnormal` has that of `picture`.

    The key slice is the one that `picture` shows.
    """
    findings = tuple(kind for kind in reading.kinds if kind != ABNORMAL)
    shown, told_of = range(reading.view.slabs.size), (*reading.kinds, UNUSUAL)
    of_kind = [np.stack([as_bytes(turned_back(reading.heat(told, slab), reading.working.flips)) for slab in shown])
               for told in told_of]
    together = np.maximum.reduce([of_kind[told_of.index(label)] for label in _speaking(present)])
    values = np.stack([together, *(of_kind[told_of.index(label)] for label in findings)])
    plane_of = {int(slab): shown for shown, slab in enumerate(reading.view.slabs)}
    planes = tuple(plane_of.get(int(slab), -1) for slab in reading.working.slab_of)
    labels = (ABNORMAL, *findings)
    return EvidenceVolume(labels, values, reading.volume.slices, planes, _key_slice(reading, present))


def _speaking(present: tuple[str, ...]) -> list[str]:
    """The present kinds; without one, what else is present; the error where nothing is."""
    return [label for label in present if label not in (ABNORMAL, UNUSUAL)] or list(present) or [UNUSUAL]


def _key_slice(reading: Reading, present: tuple[str, ...]) -> int:
    return reading.source_index(reading.telling(present[0]) if present else reading.fullest())


def picture(reading: Reading, present: tuple[str, ...]) -> KeyImage:
    """The most telling slice of the first present label in lung window, with the heat of the present kinds.

    The error's heat is shown where no kind is present. Without any present label: the slice with the most lung.
    """
    shown = reading.telling(present[0]) if present else reading.fullest()
    index = reading.source_index(shown)
    heat: Floats | None = None
    if present:
        together = np.maximum.reduce([reading.heat(label, shown) for label in _speaking(present)])
        heat = np.clip(reading.working.to_source_smooth(together), 0, 1)
    caption = f"slice {index + 1} of {len(reading.volume.hu)}, lung window"
    return KeyImage(lung_window(reading.volume.hu[index]), heat, caption,
                    reading.volume.spacing[1] / reading.volume.spacing[2], reading.volume.slices[index])


def lung_window(hu: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """uint8 for display, black at −1350 HU and white at 150 HU."""
    scaled = np.clip((hu - (WINDOW_CENTRE - WINDOW_WIDTH / 2)) / WINDOW_WIDTH, 0, 1)
    return np.asarray(np.rint(scaled * 255), np.uint8)
