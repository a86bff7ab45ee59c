"""Parts of the stroke reader: labelled slices, validation, atlas, thresholds, etiology, the outline in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.dicom.content.sheet_image import draw_key_image
from gateway.errors import Permanent, Unusable
from gateway.pipeline import Array, KeyImage
from gateway.result import ModelRelease
from pipelines.stroke_mr.atlas import SHAPE, atlas
from pipelines.stroke_mr.etiology import etiology
from pipelines.stroke_mr.intensity import standardised
from pipelines.stroke_mr.labels import CROP, SIZE, SLICE
from pipelines.stroke_mr.lesions import outlined, thresholds_of
from pipelines.stroke_mr.measures import Extent
from pipelines.stroke_mr.slices import framed, read_slices, unframed
from pipelines.stroke_mr.validate import validate
from tests.builders import reading


def a_file(folder: Path, count: int = 12) -> Path:
    """Slices with a bright square in every other one; two squares are of 36 pixels only."""
    random = np.random.default_rng(3)
    images = np.zeros((count, *SLICE), np.uint8)
    images[:, 20:170, 20:140] = random.integers(90, 120, (count, 150, 120))
    masks = np.zeros(images.shape, np.bool_)
    for number in range(0, count, 2):
        side = 6 if number in (2, 4) else 20
        masks[number, 60:60 + side, 40:40 + side] = True
    images[masks] = 240
    np.savez(folder / "held.npz", image=images, lesion=np.packbits(masks.reshape(count, -1), axis=1),
             subject=np.arange(100, 100 + count), lesion_volume_mm3=masks.sum((1, 2)))
    return folder / "held.npz"


class Bright:
    """A network that marks what is bright."""

    def release(self, model: str) -> ModelRelease:
        return ModelRelease(model, "1", "ab" * 32, False, "", {"thresholds": '{"lesion": 0.4, "pixel": 0.5}'})

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        lesion = (inputs["slices"] > 4).astype(np.float32)
        assert lesion.shape[1:] == inputs["prior"].shape[1:] == (1, SIZE, SIZE)
        return {"lesion": lesion, "probability": np.clip(lesion.sum((2, 3)) / 500, 0, 1).astype(np.float32)}

    def models(self) -> tuple[str, ...]:
        return ("stroke_flair",)


def test_slices_are_read_from_the_file_its_folder_and_the_folder_above(tmp_path: Path) -> None:
    folder = tmp_path / "stroke-flair"
    folder.mkdir()
    file = a_file(folder)
    for place in (file, folder, tmp_path):
        found = read_slices(place)
        assert found.images.shape == found.masks.shape == (12, *SLICE)
        assert found.pixels.tolist() == [400, 0, 36, 0, 36, 0, 400, 0, 400, 0, 400, 0]
        assert found.subjects[0] == "100"


@pytest.mark.parametrize("make", [
    lambda place: None, lambda place: np.savez(place / "x.npz", other=np.zeros(3)),
    lambda place: (place / "x.npz").write_bytes(b"no zip"),
    lambda place: np.savez(place / "x.npz", image=np.zeros((2, 5, 5)), lesion=np.zeros((2, 4), np.uint8))],
    ids=["nothing", "other arrays", "no archive", "other size"])
def test_what_holds_no_slices_is_refused_in_words(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(Unusable):
        read_slices(tmp_path)


def test_a_perfect_network_gets_perfect_figures_over_the_clear_slices(tmp_path: Path) -> None:
    inference: Any = Bright()
    table = tmp_path / "predictions.csv"
    told = validate(a_file(tmp_path), inference, predictions=table)
    lesion = told["labels"]["lesion"]
    assert (lesion["n"], lesion["positives"], lesion["auc"]) == (10, 4, 1.0)
    assert lesion["threshold"] == 0.4
    assert told["median_dice"] == 1.0
    assert told["dice_slices"] == 4
    assert len(table.read_text().splitlines()) == 11


def test_framing_is_undone_and_keeps_the_midline_in_the_middle() -> None:
    stack = np.random.default_rng(0).normal(size=(2, *SLICE))
    for shape in (CROP, (SIZE, SIZE)):
        wide = framed(stack, shape)
        assert wide.shape[1:] == shape
        assert np.array_equal(unframed(wide), stack)
    middle = framed(np.arange(SLICE[1])[None, None].repeat(SLICE[0], axis=1))[0, 90]
    assert middle.tolist().index(78) == CROP[1] // 2 - 1


def test_standardised_values_do_not_depend_on_the_scanner_and_are_zero_outside_alone() -> None:
    values = np.random.default_rng(1).normal(300, 40, (40, 40)).astype(np.float32)
    brain = np.zeros((40, 40), np.bool_)
    brain[5:35, 5:35] = True
    told = standardised(values, brain)
    np.testing.assert_allclose(told, standardised(values * 7 + 100, brain), atol=1e-4)
    assert ((told != 0) == brain).all()
    assert np.abs(told).max() <= 5
    assert not standardised(values, np.zeros_like(brain)).any()


def test_the_atlas_is_left_first_and_lesions_lie_alike_on_both_sides() -> None:
    territory = atlas().territory
    assert territory.shape == SHAPE
    left, right = (np.argwhere(np.isin(territory, range(first, 31, 2)))[:, 2].mean() for first in (1, 2))
    assert left < 78 < right
    usual = atlas().usual(68)
    assert usual.shape == SLICE
    assert 0.5 < usual.max() <= 1
    assert abs(float(usual[:, :78].mean() - usual[:, 79:].mean())) < 0.02
    assert atlas().usual(-10).shape == atlas().usual(500).shape == SLICE


def test_only_slices_that_are_sure_and_what_goes_on_beside_them_are_outlined() -> None:
    lesion = np.zeros((5, 20, 20), np.float32)
    lesion[1:4, 5:10, 5:10] = 0.9
    lesion[4, 15:18, 15:18] = 0.9
    lesion[2, 1, 1] = 0.9
    brain = np.ones(lesion.shape, np.bool_)
    mask = outlined(lesion, np.array([0, 0.2, 0.8, 0.2, 0.2], np.float32), brain, 0.5, 0.5)
    assert mask.sum((1, 2)).tolist() == [0, 25, 25, 25, 0]
    assert not outlined(lesion, np.zeros(5, np.float32), brain, 0.5, 0.5).any()


def test_a_model_without_thresholds_is_no_model() -> None:
    with pytest.raises(Permanent, match="thresholds"):
        thresholds_of(ModelRelease("stroke_flair", "1", "ab" * 32, False))


def test_etiology_is_shares_that_follow_the_pattern() -> None:
    middle, front = ("left", "middle cerebral artery"), ("right", "anterior cerebral artery")
    heart = etiology(Extent(60, 9, 3, {middle: 40, front: 20}, {"left": 3}))
    vessel = etiology(Extent(12, 5, 4, {middle: 12}, {}))
    small = etiology(Extent(0.8, 1, 1, {middle: 0.8}, {}))
    assert max(heart, key=lambda kind: heart[kind]) == "cardioembolic"
    assert max(vessel, key=lambda kind: vessel[kind]) == "atherothrombotic"
    assert max(small, key=lambda kind: small[kind]) == "cryptogenic"
    assert all(sum(told.values()) == pytest.approx(1) for told in (heart, vessel, small))


def test_an_outline_is_drawn_beside_the_plain_picture() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[20:40, 30:50] = True
    picture = KeyImage(np.full((64, 64), 90, np.uint8), None, "FLAIR, slice 3 of 25", contour=mask)
    drawn = draw_key_image(reading("ct"), picture)
    edge = (drawn == np.array((255, 196, 0))).all(2)
    columns = np.flatnonzero(edge.any(0))
    assert columns[0] > drawn.shape[1] / 2
    assert 1000 < edge.sum() < 0.02 * edge.size
