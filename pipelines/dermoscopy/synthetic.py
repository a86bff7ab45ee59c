"""Drawn pictures: lesions on skin for the demonstration, and what is no lesion for tests. None is a patient's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats

Bytes = NDArray[np.uint8]
_SKIN = np.array([0.80, 0.62, 0.53], np.float32)
_BROWN = np.array([0.42, 0.25, 0.17], np.float32)
_DARK = np.array([0.20, 0.13, 0.12], np.float32)


@dataclass(frozen=True, slots=True)
class DermoscopySample:
    """`pixels`: uint8 RGB (rows, columns, 3); `spacing`: mm per pixel; `verdict`: what must be said, None: any."""

    name: str
    title: str
    verdict: str | None
    pixels: Bytes
    spacing: tuple[float, float]


def samples() -> list[DermoscopySample]:
    """What the demonstration sends."""
    return [DermoscopySample("mole", "Dermoscopy: an even brown mole (drawn)", None, lesion(1, ragged=0.05),
                             (0.03, 0.03)),
            DermoscopySample("ragged-mole", "Dermoscopy: a ragged lesion of two colours (drawn)", None,
                             lesion(2, ragged=0.25, second=True), (0.03, 0.03))]


def noise(shape: tuple[int, int], scale: float, random: np.random.Generator) -> Floats:
    """Smooth noise with standard deviation 1."""
    field = ndimage.gaussian_filter(random.standard_normal(shape), scale)
    return np.asarray(field / field.std(), np.float32)


def skin(shape: tuple[int, int] = (480, 640), seed: int = 0) -> Floats:
    """Skin under an even lamp: pores, faint redness, falling light. [0, 1] (rows, columns, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    fall = 1 - 0.15 * ((rows / shape[0] - 0.5) ** 2 + (columns / shape[1] - 0.5) ** 2)
    grain = 1 + 0.02 * noise(shape, 1.5, random) + 0.015 * noise(shape, 6, random) + 0.015 * noise(shape, 40, random)
    red = 0.012 * noise(shape, 12, random)
    tint = np.stack([red, -red / 2, -red / 2], axis=-1)
    return np.asarray(np.clip(_SKIN * (fall * grain)[..., None] + tint, 0, 1), np.float32)


def lesion(seed: int, *, ragged: float = 0.1, second: bool = False, shape: tuple[int, int] = (480, 640)) -> Bytes:
    """A brown spot with a pigment network. `ragged`: how far the border strays, as a share of the radius; `second`:
    with a darker part to one side."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(shape, dtype=np.float32)
    down, right = rows - shape[0] / 2, columns - shape[1] / 2
    radius = np.hypot(down, right * 0.85) / (0.24 * shape[0])
    border = 1 + ragged * (noise(shape, 30, random) + 0.5 * noise(shape, 10, random))
    cover = 1 / (1 + np.exp((radius - border) * 14))
    network = 0.75 + 0.12 * noise(shape, 3, random) + 0.1 * noise(shape, 14, random)
    brown = _BROWN * (0.6 + 0.5 * network[..., None])
    picture = skin(shape, seed) * (1 - cover[..., None] * 0.95) + brown * cover[..., None]
    if second:
        dark = cover / (1 + np.exp(((np.hypot(down + 30, right - 45) / 55) - border) * 10))
        picture = picture * (1 - 0.85 * dark[..., None]) + _DARK * 0.85 * dark[..., None]
    return as_bytes(picture + 0.008 * random.standard_normal((*shape, 1)))


def ruler(shape: tuple[int, int] = (480, 640), *, on_skin: bool = False) -> Bytes:
    """A ruler alone: white plastic with black ticks, on white or on skin."""
    picture = skin(shape, 5) if on_skin else np.full((*shape, 3), 0.82, np.float32)
    top = shape[0] // 2 - 60
    picture[top:top + 120] = 0.9
    for number, column in enumerate(range(20, shape[1] - 10, 12)):
        length = 70 if number % 10 == 0 else 50 if number % 5 == 0 else 30
        picture[top:top + length, column:column + 3] = 0.08
    return as_bytes(picture + 0.01 * np.random.default_rng(6).standard_normal(picture.shape))


def cat(shape: tuple[int, int] = (480, 640), seed: int = 7,
        fur: tuple[float, float, float] = (0.45, 0.42, 0.38)) -> Bytes:
    """A face with pointed ears, eyes, nose, whiskers and striped fur before a room."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(shape, dtype=np.float32)
    down, right = (rows - shape[0] * 0.55) / shape[0], (columns - shape[1] / 2) / shape[0]
    room = np.stack([0.45 + 0.04 * noise(shape, 60, random), 0.44 + 0.04 * noise(shape, 60, random),
                     0.42 + 0.04 * noise(shape, 60, random)], axis=-1)
    hair = ndimage.gaussian_filter(random.standard_normal(shape), (5, 0.8))
    stripes = 0.5 + 0.5 * np.sign(np.sin(40 * np.hypot(down, right) + 2 * noise(shape, 20, random)))
    coat = np.array(fur, np.float32) * (0.7 + 0.35 * stripes + 1.5 * hair)[..., None]
    face = np.hypot(down, right) < 0.33
    for side in (-1, 1):
        face |= (np.abs(right - side * 0.22) < 0.11 * (down + 0.48) / 0.28) & (down > -0.48) & (down < -0.18)
    picture = np.where(face[..., None], coat, room)
    for side in (-1, 1):
        eye = np.hypot((down + 0.06) * 1.3, right - side * 0.13)
        picture[eye < 0.055] = (0.55, 0.75, 0.2)
        picture[(eye < 0.05) & (np.abs(right - side * 0.13) < 0.012)] = 0.02
    picture[np.hypot(down - 0.08, right) < 0.03] = (0.85, 0.5, 0.5)
    return as_bytes(picture)


def leaves(shape: tuple[int, int] = (480, 640), seed: int = 8) -> Bytes:
    """Green foliage."""
    random = np.random.default_rng(seed)
    light = 0.75 + 0.2 * noise(shape, 9, random) + 0.1 * noise(shape, 2, random)
    return as_bytes(light[..., None] * np.array([0.55, 0.95, 0.3], np.float32))


def page(shape: tuple[int, int] = (480, 640), seed: int = 9) -> Bytes:
    """A printed page."""
    random = np.random.default_rng(seed)
    picture = np.full((*shape, 3), 0.88, np.float32)
    for row in range(40, shape[0] - 30, 22):
        words = ndimage.zoom((random.random(80) < 0.6).astype(np.float32), (shape[1] - 80) / 80, order=0)
        ink = words[None, :, None] * (random.random((9, len(words), 1)) < 0.7)
        picture[row:row + 9, 40:40 + len(words)] -= 0.7 * ink
    return as_bytes(picture)


def as_bytes(picture: NDArray[np.floating]) -> Bytes:
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def no_skin(seed: int, side: int = 256) -> Floats:
    """A picture of something else, (side, side, 3) in [0, 1]: heaps of shapes, clouds, fur or a cat's head, in colours
    that may be those of skin."""
    random = np.random.default_rng(seed)
    kind = seed % 4
    if kind == 3:
        fur = random.uniform(0.25, 0.8) * np.array([1, random.uniform(0.6, 1), random.uniform(0.3, 0.95)])
        head = (cat((side, side), seed, tuple(fur)) / 255).astype(np.float32)
        zoom = int(random.integers(side // 3, side))
        top, left = random.integers(0, side - zoom + 1, 2)
        return _resized(head[top:top + zoom, left:left + zoom], side)
    made = (_heap, _clouds, _fur)[kind](random, side)
    return np.clip(made + 0.01 * random.standard_normal(made.shape), 0, 1).astype(np.float32)


def _palette(random: np.random.Generator, count: int) -> Floats:
    """Colours around one hue or around that of skin."""
    base = _SKIN if random.random() < 0.6 else random.uniform(0.2, 0.9, 3)
    return np.clip(base * random.uniform(0.25, 1.3, (count, 1)) * random.uniform(0.75, 1.25, (count, 3)), 0, 1)


def _heap(random: np.random.Generator, side: int) -> Floats:
    """Ellipses over one another, as things lie before a lens (dead leaves)."""
    rows, columns = np.indices((side, side), dtype=np.float32)
    picture = np.ones((side, side, 3), np.float32) * _palette(random, 1)
    for colour in _palette(random, int(random.integers(15, 150))):
        down, right = rows - random.uniform(0, side), columns - random.uniform(0, side)
        turn, size = random.uniform(0, np.pi), side * 0.03 / random.uniform(0.06, 1)
        along, across = down * np.cos(turn) + right * np.sin(turn), right * np.cos(turn) - down * np.sin(turn)
        inside = np.hypot(along, across * random.uniform(1, 4)) < size
        picture[inside] = colour * (1 + 0.2 * along[inside, None] / size)
    return picture


def _clouds(random: np.random.Generator, side: int) -> Floats:
    """Sums of smooth noise of many sizes: as much structure at each."""
    power, colour = random.uniform(0.6, 1.2), _palette(random, 1)
    light = sum(2.0 ** (power * octave) * noise((side, side), 2.0**octave, random) for octave in range(6))
    hue = np.stack([noise((side, side), random.uniform(4, 40), random) for _ in range(3)], axis=-1)
    return np.asarray(colour * (1 + random.uniform(0.1, 0.4) * (light / light.std())[..., None]
                                + random.uniform(0, 0.15) * hue), np.float32)


def _fur(random: np.random.Generator, side: int) -> Floats:
    """Hair of two colours in patches, each lying another way."""
    fine = ndimage.gaussian_filter(random.standard_normal((side, side)), (random.uniform(3, 9), 0.7))
    turned = np.where(noise((side, side), 25, random) > 0, fine, fine.T)
    patches = 1 / (1 + np.exp(-4 * noise((side, side), random.uniform(8, 40), random)))
    one, other = _palette(random, 2)
    coat = one * patches[..., None] + other * (1 - patches[..., None])
    return np.asarray(coat * (1 + random.uniform(0.15, 0.5) * (turned / fine.std())[..., None]), np.float32)


def _resized(picture: Floats, side: int) -> Floats:
    steps = (np.arange(side) * picture.shape[0] / side).astype(int)
    return ndimage.gaussian_filter(picture[steps][:, steps], (0.7, 0.7, 0))
