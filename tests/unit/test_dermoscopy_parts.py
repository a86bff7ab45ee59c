"""Dermoscopy: colour, hair, what is no skin, the lesion, its shape and numbers, on pictures whose truth is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from gateway.errors import Unusable
from gateway.pipeline import Floats
from pipelines.dermoscopy.collage import collage
from pipelines.dermoscopy.colour import Mask, hsv, lab, lamp
from pipelines.dermoscopy.features import COLOURS, colour_shares, colours_seen, features
from pipelines.dermoscopy.hair import hair_mask, painted_over
from pipelines.dermoscopy.inputs import VIEW, View, inputs_of, person
from pipelines.dermoscopy.isic import lesions, rows
from pipelines.dermoscopy.lesion import Lesion, find_lesion
from pipelines.dermoscopy.measures import measure
from pipelines.dermoscopy.prepare import SIDE, Prepared, prepare, squeezed
from pipelines.dermoscopy.shape import asymmetry, frame_of, irregularity, perimeter
from pipelines.dermoscopy.synthetic import lesion as drawn
from pipelines.dermoscopy.synthetic import skin


def disc(radius: float, centre: tuple[float, float] = (128, 128), stretch: float = 1.0) -> Mask:
    rows_, columns = np.indices((SIDE, SIDE))
    return np.asarray(np.hypot(rows_ - centre[0], (columns - centre[1]) / stretch) < radius)


def spot(mask: Mask, colour: tuple[float, float, float] = (0.4, 0.25, 0.18)) -> Floats:
    """Skin with an even spot."""
    picture = squeezed((skin() * 255).astype(np.uint8))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 1.5)[..., None]
    return np.asarray(picture * (1 - soft) + np.array(colour, np.float32) * soft, np.float32)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(spot(disc(50)))


@pytest.fixture(scope="module")
def found(prepared: Prepared) -> Lesion:
    lesion = find_lesion(prepared)
    assert lesion is not None
    return lesion


def overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_lab_of_known_colours() -> None:
    given = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5]], np.float32)
    expected = np.array([[100, 0, 0], [0, 0, 0], [53.2, 80.1, 67.2], [53.4, 0, 0]])
    np.testing.assert_allclose(lab(given), expected, atol=0.6)
    np.testing.assert_allclose(hsv(np.array([[1, 0, 0], [0, 1, 0], [0.2, 0.2, 0.4]], np.float32)),
                               [[0, 1, 1], [1 / 3, 1, 1], [2 / 3, 0.5, 0.4]], atol=1e-6)


def test_the_light_is_taken_out() -> None:
    picture = skin()
    tinted = np.clip(picture * np.array([1.0, 0.85, 0.7], np.float32), 0, 1)
    everywhere = np.ones(picture.shape[:2], dtype=bool)
    plain, lit = (one / lamp(one, everywhere) for one in (picture, tinted))
    ratio = lit.mean(axis=(0, 1)) / plain.mean(axis=(0, 1))
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.02)


@pytest.mark.parametrize("shape", [(256, 256), (300, 500), (1200, 1601), (100, 90), (2000, 3000)])
def test_squeezing_keeps_the_mean(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    small = squeezed(pixels)
    assert small.shape == (SIDE, SIDE, 3)
    assert small.min() >= 0
    assert small.max() <= 1.0001
    np.testing.assert_allclose(small.mean(axis=(0, 1)), pixels.mean(axis=(0, 1)) / 255, atol=0.005)


def test_hairs_are_found_and_painted_over() -> None:
    picture = spot(disc(50))
    hairy = picture.copy()
    rows_, columns = np.indices((SIDE, SIDE))
    line = (np.abs(rows_ - 0.6 * columns - 30) < 1.5) | (np.abs(rows_ + 1.3 * columns - 330) < 1.5)
    hairy[line] = 0.08
    mask = hair_mask(hairy.mean(axis=-1))
    assert mask[line].mean() > 0.9
    assert mask.mean() < 3 * line.mean()
    clean = painted_over(hairy, mask)
    assert np.abs(clean - picture)[line].mean() < 0.05 < np.abs(hairy - picture)[line].mean()
    assert hair_mask(picture.mean(axis=-1)).mean() < 0.01


def test_rim_sticker_and_ink_are_left_out() -> None:
    picture = spot(disc(40))
    picture[~disc(140)] = 0.02
    picture[disc(30, (128, 250))] = (0.1, 0.5, 0.9)
    picture[disc(6, (60, 190))] = (0.45, 0.25, 0.75)
    made = prepare(picture)
    assert made.outside[:8, :8].all()
    assert made.outside[disc(24, (128, 250)) & disc(138)].mean() > 0.9
    assert made.outside[disc(4, (60, 190))].mean() > 0.9
    assert made.outside[disc(60)].mean() < 0.01
    lesion = find_lesion(made)
    assert lesion is not None
    assert overlap(lesion.mask, disc(40)) > 0.85


def test_the_lesion_is_found_where_it_is(found: Lesion) -> None:
    assert overlap(found.mask, disc(50)) > 0.9
    top, left, bottom, right = found.box
    np.testing.assert_allclose([top, left, bottom, right], [78, 78, 178, 178], atol=6)
    assert found.contrast > 20
    assert found.certainty > 0.8


@pytest.mark.parametrize("centre", [(70, 90), (170, 180)])
def test_one_off_the_middle_is_found_too(centre: tuple[int, int]) -> None:
    lesion = find_lesion(prepare(spot(disc(30, centre))))
    assert lesion is not None
    assert overlap(lesion.mask, disc(30, centre)) > 0.85


def test_nothing_is_found_on_an_even_plane() -> None:
    lesion = find_lesion(prepare(np.full((SIDE, SIDE, 3), 0.6, np.float32)))
    assert lesion is None or lesion.contrast < 1


def test_shape_of_a_disc_and_of_what_is_none() -> None:
    round_, long = disc(50), disc(40, stretch=2)
    half = disc(50) & (np.indices((SIDE, SIDE))[1] < 128)
    assert perimeter(round_) == pytest.approx(2 * np.pi * 50, rel=0.05)
    assert irregularity(round_) == pytest.approx(1, abs=0.1)
    assert max(asymmetry(round_, frame_of(round_))) < 0.03
    assert max(asymmetry(long, frame_of(long))) < 0.03
    assert max(asymmetry(half, frame_of(half))) > 0.1
    frame = frame_of(long)
    assert (frame.long, frame.short) == pytest.approx((80, 40), abs=1.5)
    star = round_ ^ (disc(50) & (np.sin(14 * np.arctan2(*(np.indices((SIDE, SIDE)) - 128))) > 0.3) & ~disc(30))
    assert irregularity(star) > 2


def test_measures_are_of_the_photograph_and_not_of_the_square(prepared: Prepared, found: Lesion) -> None:
    told = measure(prepared, found, (512, 1024), (0.02, 0.02))
    assert told.diameter == pytest.approx(100 * 1024 / 256 * 0.02, rel=0.06)
    assert measure(prepared, found, (512, 1024), None).diameter is None
    squeezed_disc = measure(prepared, found, (512, 512), None)
    assert squeezed_disc.asymmetry < 0.05
    assert squeezed_disc.irregularity < 1.3
    assert told.share == pytest.approx(np.pi * 50**2 / SIDE**2, rel=0.1)
    assert {m.code.meaning for m in told.measurements()} >= {"Diameter", "Asymmetry of the lesion"}
    assert "Diameter" not in {m.code.meaning for m in squeezed_disc.measurements()}


def test_colours_are_named() -> None:
    mask = disc(60)
    columns = np.indices((SIDE, SIDE))[1]
    picture = spot(mask, (0.42, 0.26, 0.18))
    picture[mask & (columns > 140)] = (0.1, 0.09, 0.09)
    made = prepare(picture)
    lesion = find_lesion(made)
    assert lesion is not None
    shares = colour_shares(made, lesion)
    assert shares.sum() <= 1.0001
    assert "black" in colours_seen(shares)
    assert "white" not in colours_seen(shares)
    assert set(colours_seen(shares)) <= set(COLOURS)


def test_features_are_finite_and_tell_lesions_apart(prepared: Prepared, found: Lesion) -> None:
    first = features(prepared, found)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, features(prepared, found))
    ragged = prepare(squeezed(drawn(2, ragged=0.25, second=True)))
    other = find_lesion(ragged)
    assert other is not None
    second = features(ragged, other)
    assert second.shape == first.shape
    assert np.abs(first - second).max() > 0.1


def test_the_cut_out_holds_the_lesion(prepared: Prepared, found: Lesion) -> None:
    given = inputs_of(prepared, found, person(50, "F"))
    view = given["view"][0]
    assert view.shape == (4, VIEW, VIEW)
    assert view[3].max() == pytest.approx(1)
    assert view[3].min() == pytest.approx(0.15)
    share = ((view[3] > 0.6).mean() * View.of(found).side ** 2) / found.mask.sum()
    assert share == pytest.approx(1, abs=0.05)
    edge = replace(found, box=(0, 0, 40, 40))
    assert inputs_of(prepared, edge, person(50, "F"))["view"].shape == (1, 4, VIEW, VIEW)


def test_a_person_may_be_unknown() -> None:
    assert not person(float("nan"), "").any()
    assert person(68, "M").tolist() == pytest.approx([1, 0, 1, 1, 0])
    assert person(50, "F")[4] == 1
    assert not person(700, "").any()


def test_near_duplicates_are_one_lesion() -> None:
    random = np.random.default_rng(0)
    pictures = ndimage.gaussian_filter(random.random((4, 16, 16)), (0, 2, 2))
    every = np.concatenate([pictures, np.rot90(pictures[:1], axes=(1, 2)) * 0.5 + 0.1, pictures[1:2, :, ::-1]])
    groups = lesions(every)
    assert groups[0] == groups[4]
    assert groups[1] == groups[5]
    assert len(set(groups)) == 4


@pytest.mark.parametrize(("table", "words"), [
    (None, "no labels.csv"), ("image_id,melanoma\nA,1\n", "needs rows"), ("image_id,melanoma,seborrheic_keratosis\n",
                                                                         "needs rows"),
    ("image_id,melanoma,seborrheic_keratosis\n../etc/passwd,1,0\n", "no plain file name"),
    ("image_id,melanoma,seborrheic_keratosis\nA,1,0\n", "not in images")])
def test_data_of_another_kind_are_refused(table: str | None, words: str, tmp_path: Path) -> None:
    if table is not None:
        (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(Unusable, match=words):
        rows(tmp_path)


def test_a_table_is_read_with_what_nobody_said(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("A.jpg", "B.png"):
        (tmp_path / "images" / name).touch()
    (tmp_path / "labels.csv").write_text("image_id,melanoma,seborrheic_keratosis,age_approximate,sex\n"
                                         "A,1,0,70,male\nB,0,,unknown,unknown\n")
    one, two = rows(tmp_path)
    assert (one.truth, one.age, one.sex) == ({"melanoma": 1.0, "seborrheic_keratosis": 0.0}, 70.0, "M")
    assert (two.truth, two.sex) == ({"melanoma": 0.0}, "")
    assert np.isnan(two.age)


def test_a_collage_is_put_together_of_the_pictures() -> None:
    """Tiles (every third seed) or ellipses of those that are given; the same seed gives the same."""
    given = [np.full((64, 64, 3), level, np.float32) for level in (0.2, 0.5, 0.8)]
    for seed in range(6):
        asked: list[int] = []

        def picture(number: int, asked: list[int] = asked) -> Floats:
            asked.append(number)
            return given[number]

        made = collage(seed, picture, len(given))
        assert (made.shape, made.dtype) == ((64, 64, 3), np.float32)
        assert 0 <= made.min() <= made.max() <= 1
        if seed % 3 == 0:
            assert {round(float(level), 3) for level in np.unique(made)} <= {round(0.2 + 0.3 * n, 3) for n in asked}
        else:
            assert len(np.unique(made)) > 3
        np.testing.assert_array_equal(made, collage(seed, given.__getitem__, len(given)))
