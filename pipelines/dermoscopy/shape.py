"""Shape of a lesion: asymmetry, border, size. All of the mask alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask

_SECTORS = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """The lesion's own axes: centre (row, column), direction of the long axis in radians, half axes in pixels."""

    centre: tuple[float, float]
    angle: float
    long: float
    short: float


def frame_of(mask: Mask) -> Frame:
    """From the second moments: an ellipse of these half axes has them too."""
    rows, columns = np.nonzero(mask)
    centre = float(rows.mean()), float(columns.mean())
    spread = np.cov(np.stack([rows - centre[0], columns - centre[1]])) + np.eye(2) / 12
    values, vectors = np.linalg.eigh(spread)
    angle = float(np.arctan2(vectors[0, 1], vectors[1, 1]))
    return Frame(centre, angle, 2 * float(np.sqrt(values[1])), 2 * float(np.sqrt(values[0])))


def mirrored(plane: NDArray[np.float32], frame: Frame, along_long: bool) -> Floats:
    """The picture mirrored in one of the lesion's axes; zero where nothing is."""
    angle = frame.angle + (0.0 if along_long else np.pi / 2)
    cosine, sine = np.cos(2 * angle), np.sin(2 * angle)
    turn = np.array([[-cosine, sine], [sine, cosine]])
    centre = np.array(frame.centre)
    return np.asarray(ndimage.affine_transform(plane, turn, centre - turn @ centre, order=1), np.float32)


def asymmetry(mask: Mask, frame: Frame) -> tuple[float, float]:
    """Share of the area that does not lie on itself when folded in the long and in the short axis."""
    plane = mask.astype(np.float32)
    apart = [float(np.abs(plane - mirrored(plane, frame, along)).sum() / 2 / max(plane.sum(), 1))
             for along in (True, False)]
    return apart[0], apart[1]


def perimeter(mask: Mask) -> float:
    """Pixels around the mask: steps counted 1 and √2 (Kulpa's estimate)."""
    edge = mask & ~ndimage.binary_erosion(mask)
    kinds = ndimage.convolve(edge.astype(np.uint8), np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], np.uint8),
                             mode="constant")
    straight = np.isin(kinds, (5, 7, 15, 17, 25, 27)) & edge
    slant = np.isin(kinds, (21, 33)) & edge
    both = np.isin(kinds, (13, 23)) & edge
    return float(straight.sum() + slant.sum() * np.sqrt(2) + both.sum() * (1 + np.sqrt(2)) / 2)


def irregularity(mask: Mask) -> float:
    """Perimeter² / (4 π area): 1 for a disc."""
    return perimeter(mask) ** 2 / (4 * np.pi * max(float(mask.sum()), 1.0))


def sectors(mask: Mask, frame: Frame) -> NDArray[np.intp]:
    """Sector of each pixel seen from the centre, from the long axis on: 0 to 7."""
    rows, columns = np.indices(mask.shape)
    direction = np.arctan2(rows - frame.centre[0], columns - frame.centre[1]) - frame.angle
    return np.asarray(np.floor(direction / (2 * np.pi) * _SECTORS), np.intp) % _SECTORS


def outline(mask: Mask) -> Mask:
    """The mask's own outermost pixels."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))
