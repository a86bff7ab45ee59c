"""Training of the stroke reader: the same seed gives the same network, synthetic slices are what they claim to be."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from pipelines.stroke_mr.labels import CROP, LEVEL, SIZE, SLICE  # noqa: E402
from pipelines.stroke_mr.network import Network, Served  # noqa: E402
from pipelines.stroke_mr.slices import Slices, framed  # noqa: E402
from pipelines.stroke_mr.train_augment import augmented  # noqa: E402
from pipelines.stroke_mr.train_flair import examples_of, figures_of, one_fold  # noqa: E402
from pipelines.stroke_mr.train_network import Examples, How, told_by  # noqa: E402
from pipelines.stroke_mr.train_synthetic import LEVELS, Lesions, Synthetic  # noqa: E402

pytestmark = pytest.mark.slow


def some(count: int = 12) -> Slices:
    random = np.random.default_rng(4)
    images = np.zeros((count, *SLICE), np.uint8)
    images[:, 15:175, 15:145] = random.integers(80, 130, (count, 160, 130))
    masks = np.zeros(images.shape, np.bool_)
    masks[::2, 60:90, 40:70] = True
    images[masks] = 220
    return Slices(images, masks, tuple(str(n) for n in range(count)))


def synthetic() -> Synthetic:
    found = some()
    block = np.zeros(SLICE, np.bool_)
    block[70:90, 40:60] = True
    return Synthetic(Lesions([np.packbits(block)[None] for _ in LEVELS]), found.images[1::2])


def trained(folder: Path, seed: int) -> Any:
    return one_fold(examples_of(some(11)), synthetic(), How(seed, 1), folder, "test")


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    first, again = (trained(tmp_path / name, 1) for name in ("a", "b"))
    weights = [torch.cat([p.flatten() for p in network.parameters()]) for network in (first, again)]
    assert torch.equal(weights[0], weights[1])
    assert (tmp_path / "a" / "checkpoint.pt").exists()
    maps, verdicts = told_by(first, examples_of(some(3)))
    assert maps.shape == (3, *CROP)
    assert np.isfinite(verdicts).all()


def test_what_is_served_says_the_same_of_a_slice_and_of_its_mirror_image() -> None:
    torch.manual_seed(0)
    served = Served([Network(1).eval(), Network(1).eval()], 1.2, -0.3).eval()
    whole = framed(some(2).images.astype(np.float32) / 50, (SIZE, SIZE))[:, None]
    mirrored = np.ascontiguousarray(whole[..., ::-1])
    prior = torch.zeros(2, 1, SIZE, SIZE)
    with torch.no_grad():
        lesion, probability = served(torch.from_numpy(whole), prior)
        turned, again = served(torch.from_numpy(mirrored), prior)
    torch.testing.assert_close(probability, again, atol=1e-5, rtol=0)
    torch.testing.assert_close(lesion, turned.flip(-1), atol=1e-5, rtol=0)
    assert probability.shape == (2, 1)
    assert lesion.shape == (2, 1, SIZE, SIZE)


def test_changes_keep_a_mask_on_its_lesion_and_a_missing_channel_missing() -> None:
    examples = examples_of(some(4))
    slices = np.concatenate([examples.slices, np.zeros_like(examples.slices)], 1)
    before = copy.deepcopy(slices)
    random = torch.Generator().manual_seed(3)
    bent, masks, _ = augmented(torch.from_numpy(slices), torch.from_numpy(examples.masks),
                               torch.from_numpy(np.array(examples.prior, np.float32)), random)
    assert np.array_equal(slices, before)
    assert not bent[:, 1].any()
    for number in (0, 2):
        inside = masks[number, 0] > 0
        assert 300 < int(inside.sum()) < 2000
        assert bent[number, 0][inside].mean() > bent[number, 0][(bent[number, 0] != 0) & ~inside].mean() + 1
    assert set(np.unique(masks.numpy())) <= {0.0, 1.0}


@pytest.mark.parametrize("of_atlas", [False, True])
def test_synthetic_lesions_are_bright_on_diffusion_and_dark_on_adc(of_atlas: bool) -> None:
    source, random = synthetic(), np.random.default_rng(8)
    brighter, darker, without = [], [], 0
    for _ in range(24):
        image, mask, level = source.dwi(random, of_atlas=of_atlas)
        assert image.shape == (2, *SLICE)
        assert of_atlas or level == LEVEL
        inside, brain = mask[0] > 0.5, image[0] != 0
        assert not (inside & ~brain).sum() > 0.2 * inside.sum()
        if inside.sum() < 30:
            without += 1
            continue
        brighter.append(image[0][inside & brain].mean() - np.median(image[0][brain]))
        if image[1].any():
            darker.append(np.median(image[1][brain]) - image[1][inside & brain].mean())
    assert np.mean(brighter) > 0.8
    assert np.mean(darker) > 0.4
    assert 3 < without < 20


def test_figures_are_taken_over_clear_slices_alone() -> None:
    found = some(10)
    maps = found.masks.astype(np.float32)
    figures, curve = figures_of(found, maps, np.where(found.masks.any((1, 2)), 3.0, -3.0))
    assert (figures["auc"], figures["median_dice"]) == (1.0, 1.0)
    assert curve.probability(np.array([3.0]))[0] > 0.8
    assert isinstance(examples_of(found), Examples)
