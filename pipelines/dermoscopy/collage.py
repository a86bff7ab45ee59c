"""Pictures that show no lesion though their colours and textures are those of lesions: photographs cut up and put
together anew. With them the gate learns that skin colours alone are no lesion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from gateway.pipeline import Floats

Random = np.random.Generator
Given = Callable[[int], Floats]
"""Number from 0 to the count of pictures → picture, (side, side, 3) in [0, 1]."""


def collage(seed: int, given: Given, count: int) -> Floats:
    """(side, side, 3) in [0, 1]: tiles of a few of the `count` pictures in disorder, or ellipses cut out of many, lying
    over one another. The same seed gives the same."""
    random = np.random.default_rng((seed, 17))

    def drawn() -> Floats:
        picture = given(int(random.integers(count)))
        return np.rot90(picture[:, ::-1] if random.random() < 0.5 else picture, int(random.integers(4)))

    made = _tiles(random, drawn) if seed % 3 == 0 else _heap(random, drawn)
    return np.ascontiguousarray(np.clip(made, 0, 1), np.float32)


def _tiles(random: Random, drawn: Callable[[], Floats]) -> Floats:
    sources = [drawn() for _ in range(int(random.integers(1, 4)))]
    side, count = len(sources[0]), int(random.integers(2, 6))
    size = side // count
    whole = np.zeros((size * count, size * count, 3), np.float32)
    for row in range(0, size * count, size):
        for column in range(0, size * count, size):
            top, left = random.integers(0, side - size + 1, 2)
            source = sources[int(random.integers(len(sources)))]
            whole[row:row + size, column:column + size] = source[top:top + size, left:left + size]
    return np.asarray(ndimage.zoom(whole, (side / len(whole), side / len(whole), 1), order=1), np.float32)


def _heap(random: Random, drawn: Callable[[], Floats]) -> Floats:
    """On a picture or one colour; each ellipse in another light and size."""
    below = drawn()
    whole = _lit(below, random) if random.random() < 0.5 else np.ones_like(below) * random.uniform(0.3, 0.9, 3)
    rows, columns = np.indices(below.shape[:2])
    side = len(below)
    for _ in range(int(random.integers(3, 30))):
        picture, scale = _lit(drawn(), random), random.uniform(0.4, 2.5)
        down, right = rows - random.uniform(0, side), columns - random.uniform(0, side)
        turn, size = random.uniform(0, np.pi), side * np.exp(random.uniform(np.log(0.03), np.log(0.43)))
        along, across = down * np.cos(turn) + right * np.sin(turn), right * np.cos(turn) - down * np.sin(turn)
        inside = np.hypot(along, across * random.uniform(1, 3)) < size
        whole[inside] = picture[(rows * scale).astype(int) % side, (columns * scale).astype(int) % side][inside]
    return np.asarray(whole, np.float32)


def _lit(picture: Floats, random: Random) -> Floats:
    """Under a lamp of another colour and strength."""
    return np.asarray(np.clip(picture * random.uniform(0.75, 1.25, 3) * random.uniform(0.6, 1.2), 0, 1), np.float32)
