"""A folder of labelled photographs: `images/` and `labels.csv`, as the ISIC 2017 challenge's in `../shared/data`."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gateway.errors import Unusable
from pipelines.dermoscopy.labels import KERATOSIS, MELANOMA

_KINDS = (".jpg", ".jpeg", ".png", ".dcm")
_NAME = re.compile(r"[\w.\-]{1,120}")
ALIKE = 0.97
"""Correlation of two pictures of 16 × 16 grey values, in the best of eight positions, from which on they count as the
same lesion."""


@dataclass(frozen=True, slots=True)
class Row:
    """`truth`: label → 1.0 or 0.0, absent where nobody said. `age`: years, NaN where unknown; `sex`: M, F or ""."""

    name: str
    file: Path
    truth: dict[str, float]
    age: float
    sex: str


def rows(data: Path) -> list[Row]:
    """Raises Unusable where the folder is of another kind, naming what is missing."""
    table = data / "labels.csv"
    if not table.is_file():
        raise Unusable("there is no labels.csv in the folder; it needs the columns image_id, melanoma and "
                       "seborrheic_keratosis, and the pictures under images/", element="labels.csv")
    with table.open(newline="", encoding="utf-8-sig") as lines:
        told = list(csv.DictReader(lines))
    if not told or not {"image_id", MELANOMA, KERATOSIS} <= told[0].keys():
        raise Unusable("labels.csv needs rows, and the columns image_id, melanoma and seborrheic_keratosis",
                       element="labels.csv")
    return [_row(line, data / "images") for line in told]


def _row(line: dict[str, str], images: Path) -> Row:
    name = line["image_id"].strip()
    if not _NAME.fullmatch(name):
        raise Unusable("labels.csv: an image_id is no plain file name", element="image_id")
    named = [images / name, *(images / f"{name}{kind}" for kind in _KINDS)]
    file = next((path for path in named if path.is_file()), None)
    if file is None:
        raise Unusable("labels.csv names a picture that is not in images/", element="image_id")
    truth = {label: float(line[label]) for label in (MELANOMA, KERATOSIS) if line[label].strip() in ("0", "1", "0.0",
                                                                                                   "1.0")}
    return Row(name, file, truth, _years(line.get("age_approximate")), _sex(line.get("sex")))


def _years(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _sex(text: str | None) -> str:
    letter = (text or "").strip().upper()[:1]
    return letter if letter in ("M", "F") else ""


def lesions(small: NDArray[np.floating]) -> list[str]:
    """The group of each picture (n, 16, 16) of grey values: near duplicates, turned or mirrored too, are one lesion."""
    flat = _unit(small)
    alike = np.zeros((len(small), len(small)), dtype=bool)
    for turns in range(4):
        turned = np.rot90(small, turns, axes=(1, 2))
        for placed in (turned, turned[:, :, ::-1]):
            alike |= flat @ _unit(placed).T > ALIKE
    _, group = connected_components(alike, directed=False)
    return [f"lesion {number}" for number in group]


def _unit(pictures: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6), np.float32)
