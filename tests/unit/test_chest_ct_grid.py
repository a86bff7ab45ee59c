"""The working grid, the lungs on it, and what is measured there, on chests of known make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline import Array, Volume
from gateway.result import Problem
from pipelines.chest_ct.gates import doubts, problems_of_lungs, problems_of_volume
from pipelines.chest_ct.grid import averaging, turned, turned_back, working
from pipelines.chest_ct.lungs import find_lungs
from pipelines.chest_ct.measures import measure
from pipelines.chest_ct.views import CELL, SIZE, cavity, within
from pipelines.chest_ct.words import WORDS

pytestmark = pytest.mark.slow


def phantom(spacing: tuple[float, float, float] = (5.0, 1.5, 1.5), *, lung: float = -850.0, left: bool = True,
            size: tuple[int, int, int] = (60, 220, 260)) -> Volume:
    """An elliptic body with two ellipsoid lungs of 70 × 80 × 110 mm half axes cut to 52 mm wide; positions from 0."""
    z = (np.arange(size[0]) - size[0] / 2)[:, None, None] * spacing[0]
    y = (np.arange(size[1]) - size[1] / 2 + 0.5)[None, :, None] * spacing[1]
    x = (np.arange(size[2]) - size[2] / 2 + 0.5)[None, None, :] * spacing[2]
    hu = np.full(size, -1000, np.float32)
    hu[np.broadcast_to((y / 120) ** 2 + (x / 165) ** 2 < 1, size)] = 40
    for side in (-1, 1) if left else (-1,):
        hu[(z / 110) ** 2 + (y / 80) ** 2 + ((x - side * 75) / 52) ** 2 < 1] = lung
    return Volume(hu, spacing, np.arange(size[0]) * spacing[0], tuple((f"2.25.{n}", 1) for n in range(size[0])))


TRUE_ML = 4 / 3 * np.pi * 110 * 80 * 52 / 1000


@pytest.mark.parametrize("spacing", [(5.0, 1.5, 1.5), (1.25, 1.5, 1.5), (3.0, 2.0, 1.6)])
def test_measures_agree_with_the_phantom(spacing: tuple[float, float, float]) -> None:
    volume = phantom(spacing, size=(round(300 / spacing[0]), round(330 / spacing[1]), round(390 / spacing[2])))
    small = working(volume)
    lungs = find_lungs(small)
    assert lungs is not None
    values = {m.code.value: (m.value, m.unit.value) for m in measure(volume, small, lungs)}
    assert values["CTLUNGVOL"] == (pytest.approx(2 * TRUE_ML, rel=0.04), "mL")
    assert values["CTLUNGVOLR"][0] == pytest.approx(TRUE_ML, rel=0.05)
    assert values["CTLUNGVOLR"][0] + values["CTLUNGVOLL"][0] == pytest.approx(values["CTLUNGVOL"][0], abs=1)
    assert values["CTLUNGMEANR"] == values["CTLUNGMEANL"] == (pytest.approx(-850, abs=8), "[hnsf'U]")
    assert values["CTLUNGMEAN"] == (pytest.approx(-850, abs=8), "[hnsf'U]")
    assert values["CTLAA950"] == (0, "%")
    assert values["CTHAA300"][0] < 1


def test_shares_count_low_and_high_tissue() -> None:
    volume = phantom()
    y = (np.arange(220) - 109.5)[None, :, None] * 1.5
    lower = np.broadcast_to(y > 0, volume.hu.shape)
    volume.hu[(volume.hu == -850) & lower] = -980
    dense = (slice(28, 32), slice(90, 100), slice(50, 60))
    volume.hu[dense] = 30
    small = working(volume)
    lungs = find_lungs(small)
    assert lungs is not None
    values = {m.code.value: m.value for m in measure(volume, small, lungs)}
    assert values["CTLAA950"] == pytest.approx(50, abs=2)
    block = 100 * 400 * 5 * 1.5 * 1.5 / 1000 / (2 * TRUE_ML)
    assert values["CTHAA300"] == pytest.approx(block, abs=0.4)
    assert values["CTHAA300R"] == pytest.approx(2 * block, abs=0.6)
    assert values["CTHAA300L"] < 0.4
    assert values["CTDENSE"] == values["CTDENSER"] == pytest.approx(4.5, abs=1.5)
    assert values["CTDENSEL"] < 0.5
    assert {m.code.meaning for m in measure(volume, small, lungs)} <= WORDS["ru"].keys()


def test_each_lung_is_told_for_itself() -> None:
    """Ground glass in the left half of the patient, which is on the right of the picture; then no left lung at all."""
    volume = phantom()
    volume.hu[:, :, 130:][volume.hu[:, :, 130:] == -850] = -600
    small = working(volume)
    lungs = find_lungs(small)
    assert lungs is not None
    values = {m.code.value: m.value for m in measure(volume, small, lungs)}
    assert (values["CTPALEL"], values["CTPALER"]) == (pytest.approx(100, abs=2), pytest.approx(0, abs=2))
    assert values["CTLUNGMEANL"] == pytest.approx(-600, abs=8)
    alone = phantom(left=False)
    lungs = find_lungs(working(alone))
    assert lungs is not None
    values = {m.code.value: m.value for m in measure(alone, working(alone), lungs)}
    assert values["CTLUNGVOLR"] > 1000 > values["CTLUNGVOLL"]


@pytest.mark.parametrize("columns", [slice(45, 70), slice(75, 95), slice(95, 116)], ids=["pleura", "core", "hilum"])
def test_dense_disease_stays_inside_the_lung(columns: slice) -> None:
    """A consolidation of 30 × 45 × 50 mm, wherever it lies in the right lung, but at the hilum (only named there)."""
    volume = phantom()
    before = find_lungs(working(volume))
    disease = np.zeros_like(volume.hu)
    disease[25:35, 95:125, columns] = 1
    volume.hu[(disease > 0) & (volume.hu == -850)] = 30
    lungs = find_lungs(working(volume))
    assert lungs is not None
    assert before is not None
    lost = 1 - lungs.whole.sum() / before.whole.sum()
    assert lost < (0.02 if columns.start < 95 else 0.035)
    assert lungs.aerated.sum() < 0.985 * before.aerated.sum()


def test_table_and_windpipe_are_no_lung() -> None:
    volume = phantom()
    y = (np.arange(220) - 109.5)[:, None] * 1.5
    x = (np.arange(260) - 129.5)[None, :] * 1.5
    volume.hu[30:, (y ** 2 + x ** 2 < 64)] = -1000
    volume.hu[:, 195:198, 20:240] = 200
    small = working(volume)
    lungs = find_lungs(small)
    assert lungs is not None
    rows, columns = small.hu.shape[1:]
    assert not lungs.whole[:, :, columns // 2 - 3:columns // 2 + 3].any()
    assert not lungs.body[:, int(rows * 196 / 220)].any()


def test_turned_pictures_give_the_same_lungs() -> None:
    """Prone, mirrored and transposed pictures are turned upright, and masks turned back lie where they were."""
    volume = phantom(left=False)
    reference = find_lungs(working(volume))
    assert reference is not None
    for orientation, turn in [((-1, 0, 0, 0, 1, 0), lambda a: a[:, :, ::-1]),
                              ((1, 0, 0, 0, -1, 0), lambda a: a[:, ::-1]),
                              ((0, 1, 0, 1, 0, 0), lambda a: a.transpose(0, 2, 1))]:
        other = replace(volume, hu=np.ascontiguousarray(turn(volume.hu)), orientation=orientation)
        small = working(other)
        lungs = find_lungs(small)
        assert lungs is not None
        assert np.array_equal(lungs.whole, reference.whole)
        back = small.to_source(lungs.whole[30])
        assert back.shape == other.hu.shape[1:]
        assert (back & (other.hu[30] == -850)).sum() > 0.97 * (other.hu[30] == -850).sum()


@given(st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_turning_back_undoes_turning(flips: tuple[bool, bool, bool]) -> None:
    picture: Array = np.arange(12).reshape(3, 4)
    assert np.array_equal(turned_back(turned(picture, flips), flips), picture)


@given(st.integers(1, 600), st.floats(0.2, 5.0))
def test_averaging_keeps_the_mean(size: int, spacing: float) -> None:
    weights = averaging(size, spacing, 2.25)
    assert weights.sum(1) == pytest.approx(np.ones(len(weights)), abs=1e-5)
    assert weights.mean(0) * len(weights) == pytest.approx(np.full(size, len(weights) / size), rel=1e-3)


def codes(problems: tuple[Problem, ...]) -> set[str]:
    return {problem.code for problem in problems}


def gated(volume: Volume) -> set[str]:
    """Codes of everything that keeps a volume from being called normal."""
    hard = problems_of_volume(volume)
    if hard:
        return codes(hard)
    small = working(volume)
    lungs = find_lungs(small)
    hard = problems_of_lungs(small, lungs)
    return codes(hard) if hard or lungs is None else codes(doubts(volume, small, lungs))


def test_gates() -> None:
    good = phantom()
    assert gated(good) == set()
    assert gated(replace(good, hu=np.full_like(good.hu, -1000))) == {"no-lungs"}
    assert gated(replace(good, hu=np.where(good.hu == -850, 40, good.hu))) == {"no-lungs"}
    assert gated(replace(good, hu=good.hu + 1024)) == {"no-lungs"}
    assert gated(replace(good, hu=np.where(good.hu == 40, 900, good.hu))) == {"not-hounsfield"}
    assert gated(replace(good, problems=(Problem("not-hounsfield", "x"),))) == {"not-hounsfield"}
    assert gated(replace(good, problems=(Problem("gap", "x"), Problem("duplicates-dropped", "y")))) == {"gap"}
    assert gated(replace(good, spacing=(13.0, 1.5, 1.5))) == {"slices-too-far-apart"}
    assert gated(phantom(left=False)) == {"one-lung"}


@pytest.mark.parametrize(("part", "code"), [(slice(0, 15), "too-few-slices"), (slice(0, 32), "lungs-cut-off"),
                                            (slice(28, 60), "lungs-cut-off"), (slice(20, 36), "coverage-too-small")])
def test_part_of_a_chest_is_told(part: slice, code: str) -> None:
    whole = phantom()
    volume = replace(whole, hu=whole.hu[part], positions=whole.positions[part], slices=whole.slices[part])
    assert code in gated(volume)


def test_evidence_in_the_chest_wall_counts_for_nothing() -> None:
    inside = np.zeros((6, SIZE, SIZE), bool)
    inside[1:5, 40:120, 30:70] = inside[1:5, 40:120, 90:130] = True
    chest = cavity(inside)
    assert chest.shape == (6, SIZE // CELL, SIZE // CELL)
    assert chest[2, 20, 19]  # between the lungs
    assert not chest[2, 32, 20]  # behind them
    assert np.array_equal(chest[0], chest[2])  # below the lungs: as where they begin
    assert cavity(np.zeros_like(inside)).all()
    evidence = np.full((6, 2, SIZE // CELL, SIZE // CELL), -5, np.float32)
    evidence[2, 0, 32, 10:20], evidence[2, 1, 20, 10:20] = 8, 6
    scores, maps = within(evidence, inside)
    assert list(scores[2]) == [-5, 6]
    assert maps[2, 0].max() == -5
