"""Labelled photographs as arrays to learn from, prepared exactly as the reader prepares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Unusable
from pipelines.dermoscopy.collage import collage
from pipelines.dermoscopy.features import features
from pipelines.dermoscopy.gates import OF_LESION, signs_of_lesion, signs_of_picture
from pipelines.dermoscopy.inputs import inputs_of, person
from pipelines.dermoscopy.isic import Row
from pipelines.dermoscopy.lesion import find_lesion
from pipelines.dermoscopy.prepare import grey16, prepare, squeezed
from pipelines.dermoscopy.synthetic import no_skin
from pipelines.validation.progress import Progress, track

Open = Callable[[Path], NDArray[np.uint8]]
"""A picture's file → uint8 RGB (rows, columns, 3). Raises Unusable."""
OTHERS, COLLAGES = 240, 200
"""Pictures that show no lesion: drawn ones, and those put together of photographs."""
_PART = 100
"""Pictures that are kept together while they are prepared: what is stopped goes on there."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in order. `features` float32 (n, FEATURES); `views` float16 (n, 4, VIEW, VIEW); `small` float16
    (n, 16, 16): grey values of the whole; `signs` float64 (n, SIGNS); `found`: whether there is a lesion. Where there
    is none, features and views are zeros."""

    features: NDArray[np.float32]
    views: NDArray[np.float16]
    small: NDArray[np.float16]
    signs: NDArray[np.float64]
    found: NDArray[np.bool_]


def load(wanted: Sequence[Row], opened: Open, cache: Path, progress: Progress) -> Pictures:
    """Prepared parts are kept in `cache` and taken from there when they are of the same pictures."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = [wanted[start:start + _PART] for start in range(0, len(wanted), _PART)]
    passing = track(progress, list(enumerate(parts)), len(parts), "hundreds of pictures prepared", every=1)
    made = [_part(part, opened, cache / f"part{number:03d}.npz") for number, part in passing]
    return Pictures(**{name.name: np.concatenate([getattr(part, name.name) for part in made])
                       for name in fields(Pictures)})


def others(every: Sequence[Row], opened: Open, cache: Path, progress: Progress) -> NDArray[np.float32]:
    """Features (n, FEATURES) of drawn pictures that show no skin and of collages of `every`, as far as something is
    found on them."""
    file = cache / "others.npz"
    if file.is_file():
        with np.load(file) as kept:
            return np.asarray(kept["features"])
    made = []
    for number in track(progress, range(OTHERS + COLLAGES), OTHERS + COLLAGES, "pictures of other things", every=40):
        prepared = prepare(no_skin(number) if number < OTHERS else
                           collage(number, lambda row: squeezed(opened(every[row].file)), len(every)))
        lesion = find_lesion(prepared)
        if lesion is not None:
            made.append(features(prepared, lesion))
    np.savez(file, features=np.stack(made))
    return np.stack(made)


def _part(part: Sequence[Row], opened: Open, file: Path) -> Pictures:
    names = np.array([row.name for row in part])
    if file.is_file():
        with np.load(file) as kept:
            if np.array_equal(kept["names"], names):
                return Pictures(**{name.name: kept[name.name] for name in fields(Pictures)})
    made = _joined([_one(row, opened) for row in part])
    beside = file.with_suffix(".new.npz")
    np.savez(beside, names=names, **{name.name: getattr(made, name.name) for name in fields(Pictures)})
    beside.replace(file)
    return made


def _one(row: Row, opened: Open) -> Pictures:
    prepared = prepare(squeezed(opened(row.file)))
    signs, lesion = signs_of_picture(prepared), find_lesion(prepared)
    small = grey16(prepared).astype(np.float16)
    if lesion is None:
        return Pictures(np.zeros(0, np.float32), np.zeros(0, np.float16), small,
                          np.array([*signs.values(), *(0.0 for _ in OF_LESION)]), np.array(False))
    given = inputs_of(prepared, lesion, person(row.age, row.sex))
    every = np.array([*signs.values(), *signs_of_lesion(prepared, lesion).values()])
    return Pictures(given["features"][0], given["view"][0].astype(np.float16), small, every, np.array(True))


def _joined(made: Sequence[Pictures]) -> Pictures:
    whole = next((one for one in made if one.found), None)
    if whole is None:
        raise Unusable("no lesion was found in a hundred pictures: these are no dermoscopic photographs")
    return Pictures(*(np.stack([_of_shape(getattr(one, name.name), getattr(whole, name.name)) for one in made])
                        for name in fields(Pictures)))


def _of_shape(array: NDArray[np.generic], like: NDArray[np.generic]) -> NDArray[np.generic]:
    return array if array.shape == like.shape else np.zeros_like(like)
