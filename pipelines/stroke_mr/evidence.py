"""What is shown of a reading: the slice with most lesion, its contour, where the lesion lies on every slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.evidence_map import MASK, EvidenceVolume, as_bytes
from gateway.pipeline import Floats, KeyImage
from gateway.result import ImageRegion
from gateway.segmentation import Segmentation
from pipelines.stroke_mr.labels import ALTERED, INFARCT
from pipelines.stroke_mr.lesions import Seen

_WINDOW = (-3.5, 6.0)
"""Robust standard deviations of the brain shown from black to white."""


def key_slice(seen: Seen) -> int:
    """With the largest outline, else the one that looks most like a lesion."""
    areas = seen.mask.sum((1, 2))
    return int(np.argmax(areas)) if areas.any() else int(np.argmax(seen.probability))


def region(seen: Seen) -> ImageRegion | None:
    """The box around the outline on the key slice."""
    index = key_slice(seen)
    rows, columns = np.flatnonzero(seen.mask[index].any(1)), np.flatnonzero(seen.mask[index].any(0))
    if not rows.size:
        return None
    uid, frame = seen.series.volume.slices[index]
    return ImageRegion(uid, float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1), frame)


def picture(seen: Seen, what: str) -> KeyImage:
    """`what`: FLAIR or DWI."""
    index = key_slice(seen)
    volume = seen.series.volume
    inside = seen.series.brain[index]
    return KeyImage(windowed(volume.values[index], inside), None, f"{what}, slice {index + 1} of {len(volume.values)}",
                    volume.spacing[1] / volume.spacing[2], volume.slices[index],
                    seen.mask[index] if seen.mask[index].any() else None)


def windowed(values: Floats, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """uint8 for display, by the brain's own spread."""
    held = values[inside] if inside.any() else values
    low, middle, high = np.percentile(held, (25, 50, 75))
    spread = max(float(high - low) / 1.35, 1e-6)
    black, white = middle + _WINDOW[0] * spread, middle + _WINDOW[1] * spread
    return np.asarray(np.rint(np.clip((values - black) / (white - black), 0, 1) * 255), np.uint8)


def volume_of(seen: Seen, label: str) -> EvidenceVolume:
    """The outline as the page's segmentation overlay; where nothing is outlined, it is empty on every slice."""
    told = as_bytes(seen.mask.astype(np.float32))[None]
    planes = tuple(range(len(seen.mask)))
    return EvidenceVolume((label,), told, seen.series.volume.slices, planes, key_slice(seen), MASK)


def segmentation(seen: Seen, label: str, algorithm: tuple[str, str]) -> Segmentation | None:
    """None where nothing is outlined."""
    if not seen.mask.any():
        return None
    volume = seen.series.volume
    row, column = np.array(volume.orientation[:3]), np.array(volume.orientation[3:])
    normal = np.cross(row, column)
    normal = normal if normal[2] > 0 else -normal
    steps = (volume.positions - volume.positions[0])[:, None] * normal
    return Segmentation(seen.mask, volume.slices, np.array(volume.origin) + steps, volume.orientation, volume.spacing,
                        volume.acquisition.frame_of_reference_uid, label, ALTERED, INFARCT, algorithm)
