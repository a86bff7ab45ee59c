"""`atlas.npz` from the arterial territory atlas and the lesion masks of `../shared/data/stroke-lesions`.

    python -m pipelines.stroke_mr.train_atlas ../shared/data/stroke-lesions
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.errors import Unusable
from pipelines.stroke_mr.atlas import FILE, PRIOR_STEP, SHAPE

_TYPES: dict[int, Any] = {2: np.uint8, 4: "<i2", 8: "<i4", 16: "<f4", 256: np.int8, 512: "<u2"}
_SMOOTH = 3.0
"""mm: standard deviation of the blur over the counted lesions."""


def read_nifti(file: Path) -> NDArray[Any]:
    """A NIfTI-1 volume of this data set as (slices, rows, columns) of the pictures: foot to head, front to back.

    Raises Unusable where the file is of another type or size."""
    content = gzip.decompress(file.read_bytes())
    size = tuple(int(n) for n in np.frombuffer(content[40:56], "<i2")[1:4])
    kind = int(np.frombuffer(content[70:72], "<i2")[0])
    if size != SHAPE[::-1] or kind not in _TYPES:
        raise Unusable("the volume is not of the standard space 157 x 189 x 136", element=file.name)
    offset = int(np.frombuffer(content[108:112], "<f4")[0])
    values = np.frombuffer(content, _TYPES[kind], int(np.prod(size)), offset).reshape(size, order="F")
    return np.ascontiguousarray(values.transpose(2, 1, 0)[:, ::-1, ::-1])


def lesion_masks(folder: Path) -> Iterator[NDArray[np.bool_]]:
    """Every mask of the folder, bool `SHAPE`. Raises Unusable where there is none."""
    files = sorted(folder.glob("*_lesion.nii.gz"))
    if not files:
        raise Unusable("there are no *_lesion.nii.gz in that folder", element="data")
    for file in files:
        yield read_nifti(file) > 0


def build(folder: Path, out: Path = FILE) -> None:
    """Both sides count for both: strokes come left as often as right."""
    total = np.zeros(SHAPE, np.float32)
    for mask in lesion_masks(folder):
        total += mask
    often = ndimage.gaussian_filter(total + total[:, :, ::-1], _SMOOTH)
    grid = [np.minimum(np.arange(PRIOR_STEP // 2, n + PRIOR_STEP // 2, PRIOR_STEP), n - 1) for n in SHAPE]
    small = often[np.ix_(*grid)]
    np.savez_compressed(out, territory=read_nifti(folder / "ArterialAtlas136.nii.gz").astype(np.uint8),
                        prior=np.rint(small / small.max() * 255).astype(np.uint8))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
