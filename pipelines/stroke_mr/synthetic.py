"""A synthetic head MR study in the scanner's own space, skull and all: FLAIR, diffusion and ADC. For demonstrations and
tests; no network is trained or judged on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.stroke_mr.atlas import SHAPE, atlas
from pipelines.stroke_mr.labels import VENTRICLES

_SLICES, _BETWEEN = 25, 5.5
"""mm from slice to slice."""
_SKULL_MM, _SCALP_MM = 6.0, 6.0
_STEP = 2
"""mm: voxels of the head that is sampled."""
_PAD = 12
"""Voxels of air and scalp around the atlas."""
_CODES = {"air": 0, "scalp": 1, "skull": 2, "fluid": 3, "white": 4, "grey": 5, "lesion": 6}
_CONTRASTS = {
    "FLAIR": {"air": 0, "scalp": 620, "skull": 60, "fluid": 70, "white": 300, "grey": 355, "lesion": 520},
    "DWI": {"air": 0, "scalp": 20, "skull": 8, "fluid": 25, "white": 120, "grey": 160, "lesion": 330},
    "T2": {"air": 0, "scalp": 60, "skull": 20, "fluid": 900, "white": 300, "grey": 360, "lesion": 520},
    "ADC": {"air": 0, "scalp": 0, "skull": 0, "fluid": 2900, "white": 740, "grey": 820, "lesion": 410},
}


FLAIR = {"SeriesDescription": "t2_tirm_tra_dark-fluid", "SeriesNumber": 3, "RepetitionTime": 9000, "EchoTime": 89,
         "InversionTime": 2500, "ScanningSequence": ["SE", "IR"], "SequenceName": "*tir2d1_16"}


@dataclass(frozen=True, slots=True)
class MrSeries:
    """`values`: int16 (slices, rows, columns), foot to head, rows front to back, columns from the patient's right;
    `spacing`: mm; `origin`: LPS mm of the first voxel; `attributes`: DICOM keyword → value of every slice."""

    values: NDArray[np.int16]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A study for demonstrations. `lesion_ml`: what was put in; `mask` of it on the first series' pixels."""

    name: str
    title: str
    verdict: str
    series: tuple[MrSeries, ...]
    lesion_ml: float
    mask: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grid:
    """Of a series: pixels, mm, and how the head lies in it (turned by degrees, its size as a share of the atlas's;
    `start`: mm of the atlas from its lowest slice to the series' first)."""

    size: int
    pixel: float
    turn: float = 4.0
    scale: tuple[float, float, float] = (0.94, 0.93, 0.95)
    start: float = 2.0


DIFFUSION_GRID = Grid(128, 1.8)


def samples() -> tuple[Sample, ...]:
    """A middle cerebral artery infarct on the left with the insula, and a head without lesion."""
    return (study("mr-infarct", "Head MR: infarct of the left middle cerebral artery", 3, (76.0, 92.0, 38.0),
                  (15.0, 24.0, 17.0)),
            study("mr-normal", "Head MR: nothing acute", 4, None, (0.0, 0.0, 0.0)))


def study(name: str, title: str, seed: int, centre: tuple[float, float, float] | None,
          radii: tuple[float, float, float], start: float = 2.0) -> Sample:
    """`centre`, `radii`: of the lesion in atlas voxels (level, row, column); None: a head without. `start`: of FLAIR's
    slices, see `Grid`."""
    random = np.random.default_rng(seed)
    tissue = head(random)
    lesion = np.zeros(tissue.shape, np.bool_) if centre is None else infarcted(tissue, centre, radii, random)
    fine = Grid(240, 0.95, start=start)
    flair = acquired(tissue, "FLAIR", fine, random, FLAIR)
    mask = sampled((lesion * 1.0).astype(np.float32), fine) > 0.5
    millilitres = float(mask.sum()) * _BETWEEN * fine.pixel**2 / 1000
    return Sample(name, title, "normal" if centre is None else "pathology", (flair, *diffusion(tissue, random)),
                  millilitres, np.asarray(mask))


def infarcted(tissue: NDArray[np.uint8], centre: tuple[float, float, float], radii: tuple[float, float, float],
              random: np.random.Generator) -> NDArray[np.bool_]:
    """Put a lesion (see `study`) into a head, in place; returns where it is."""
    lesion = _blob(tissue.shape, centre, radii, random) & np.isin(tissue, (_CODES["white"], _CODES["grey"]))
    tissue[lesion] = _CODES["lesion"]
    return np.asarray(lesion)


def diffusion(tissue: NDArray[np.uint8], random: np.random.Generator) -> tuple[MrSeries, MrSeries]:
    """Trace image and ADC of a head on `DIFFUSION_GRID`."""
    plain = {"RepetitionTime": 5200, "EchoTime": 82, "ScanningSequence": "EP", "SequenceName": "*ep_b1000t"}
    dwi = acquired(tissue, "DWI", DIFFUSION_GRID, random, {
        **plain, "SeriesDescription": "ep2d_diff_TRACEW", "SeriesNumber": 4, "DiffusionBValue": 1000.0,
        "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]})
    adc = acquired(tissue, "ADC", DIFFUSION_GRID, random, {
        **plain, "SeriesDescription": "ep2d_diff_ADC", "SeriesNumber": 5, "SequenceName": "*ep_b0_1000",
        "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]})
    return dwi, adc


def head(random: np.random.Generator) -> NDArray[np.uint8]:
    """Tissue codes on every second voxel of the atlas with a rim of `_PAD`: folded brain, fluid, skull, scalp."""
    coarse = atlas().territory[::_STEP, ::_STEP, ::_STEP]
    territory = np.pad(coarse, ((0, _PAD), (_PAD, _PAD), (_PAD, _PAD)))
    brain = ndimage.binary_closing(territory > 0)
    depth = ndimage.distance_transform_edt(brain) * _STEP
    folds = ndimage.gaussian_filter(random.standard_normal(brain.shape, np.float32), (2.0, 1.1, 1.1))
    sulci = brain & (folds / folds.std() > 0.55 + depth / 12.0)
    outside = ndimage.distance_transform_edt(~(brain | _below(brain))) * _STEP
    tissue = np.full(brain.shape, _CODES["air"], np.uint8)
    tissue[outside <= 3 + _SKULL_MM + _SCALP_MM] = _CODES["scalp"]
    tissue[outside <= 3 + _SKULL_MM] = _CODES["skull"]
    tissue[outside <= 3] = _CODES["fluid"]
    tissue[brain] = _CODES["white"]
    near_fluid = ndimage.distance_transform_edt(~sulci) * _STEP < 3.0
    tissue[brain & ((depth < 4) | (near_fluid & (depth < 20)))] = _CODES["grey"]
    tissue[sulci | np.isin(territory, VENTRICLES)] = _CODES["fluid"]
    return tissue


def _below(brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The lowest slices go on as the ones above them, so that the skull has a bottom as wide as the head."""
    out = np.zeros_like(brain)
    widest = brain[:25].any(0)
    out[:15] = widest
    return out


def _blob(shape: tuple[int, ...], centre: tuple[float, float, float], radii: tuple[float, float, float],
          random: np.random.Generator) -> NDArray[np.bool_]:
    grid = np.ogrid[:shape[0], :shape[1], :shape[2]]
    away = sum((((axis - (0 if n == 0 else _PAD)) * _STEP - at) / radius) ** 2
               for n, (axis, at, radius) in enumerate(zip(grid, centre, radii, strict=True)))
    uneven = ndimage.gaussian_filter(random.standard_normal(shape, np.float32), 2.5)
    return np.asarray(away + 0.35 * uneven / uneven.std() < 1)


def acquired(tissue: NDArray[np.uint8], kind: str, grid: Grid, random: np.random.Generator,
             attributes: Mapping[str, Any]) -> MrSeries:
    """`tissue` (see `head`) as a contrast (FLAIR, T2, DWI, ADC) shows it; `attributes`: what its objects say."""
    table = np.zeros(len(_CODES), np.float32)
    for name, value in _CONTRASTS[kind].items():
        table[_CODES[name]] = value
    texture = ndimage.gaussian_filter(random.standard_normal(tissue.shape, np.float32), 0.8)
    values = table[tissue] * (1 + 0.07 * texture / texture.std())
    seen = sampled(np.asarray(values, np.float32), grid)
    noise = random.standard_normal(seen.shape, np.float32) * (0.02 * _CONTRASTS[kind]["white"])
    pixels = np.rint(np.hypot(seen + noise, noise) if kind != "ADC" else np.maximum(seen + noise * (seen > 50), 0))
    half = (grid.size - 1) * grid.pixel / 2
    plain = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "BodyPartExamined": "HEAD", "SequenceVariant": "SK",
             "ScanOptions": "", "MRAcquisitionType": "2D", "MagneticFieldStrength": 1.5, "EchoTrainLength": 16}
    return MrSeries(np.asarray(pixels, np.int16), (_BETWEEN, grid.pixel, grid.pixel), (-half, -half, -70.0),
                    {**plain, **attributes})


def sampled(volume: Floats, grid: Grid) -> Floats:
    """A volume on the padded atlas grid as the scanner slices it: every `_BETWEEN` mm, columns from the right."""
    angle = np.deg2rad(grid.turn)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array([SHAPE[1], SHAPE[2]]) - 1) / 2 / _STEP + _PAD
    in_plane = turn @ np.diag(grid.pixel / np.array(grid.scale[1:]) / _STEP) @ np.diag([1.0, -1.0])
    offset = middle - in_plane @ np.full(2, (grid.size - 1) / 2)
    smooth = ndimage.gaussian_filter(volume, (0.6, grid.pixel / 5, grid.pixel / 5))
    slices = []
    for number in range(_SLICES):
        level = (number * _BETWEEN / grid.scale[0] + grid.start) / _STEP
        low = min(int(level), len(smooth) - 2)
        plane: Any = smooth[low] * (low + 1 - level) + smooth[low + 1] * (level - low)
        slices.append(ndimage.affine_transform(plane, in_plane, offset=offset, output_shape=(grid.size, grid.size),
                                               order=1))
    return np.asarray(slices, np.float32)
