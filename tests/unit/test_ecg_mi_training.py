"""Both stages trained on a few real records, and what the served ones know of their training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from pipelines.ecg.memory import joined, memory_of
from pipelines.ecg.ptbxl import rows
from pipelines.ecg_mi import PIPELINE
from pipelines.ecg_mi.sections import FEATURES, INFARCTION, SECTION
from pipelines.ecg_mi.signs import SHAPE
from pipelines.ecg_mi.truth import never_together
from pipelines.ecg_mi.validate import score
from pipelines.validation.report import report
from tests.reading import DATA, MODELS
from tests.unit.test_ecg_training import _few

PTBXL = DATA / "ptb-xl"
FIRST, SECOND = PIPELINE.models
needs_data = pytest.mark.skipif(not PTBXL.is_dir(), reason="../shared/data/ptb-xl is not there")


@pytest.mark.parametrize("model", PIPELINE.models)
def test_the_cards_tell_the_figures_of_the_training(model: str) -> None:
    trained = json.loads(EmbeddedInference(MODELS, 30, 1).release(model).parameters["training"])
    card = (MODELS / model / "MODEL.md").read_text(encoding="utf-8")
    assert trained["data"] in card
    areas = trained["out_of_fold_auc"]
    assert f"{np.mean(list(areas.values())):.4f}" in card
    assert "septal is not trained" in card.lower()


@needs_data
@pytest.mark.data
def test_both_stages_remember_the_same_records() -> None:
    inference = EmbeddedInference(MODELS, 30, 1)
    memory = joined([memory_of(inference.release(model)) for model in PIPELINE.models])
    told = [memory.member(row) for row in rows(PTBXL)]
    assert None not in told
    assert set(told) == set(range(5))
    assert all({"MI", "inferior", "lateral"} <= levels.keys() for levels in memory.thresholds)


@needs_data
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_makes_both_models_and_declares_what_it_could_not_learn(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_mi.train import train

    data, said = _few(tmp_path / "data", ("1", "2"), 48), list[str]()
    told = train(data, tmp_path / "out", epochs=1, progress=said.append)
    inference = EmbeddedInference(tmp_path / "out", 30, 1)
    for model in PIPELINE.models:
        assert inference.release(model).sha256 == told[model]["sha256"]
        logs = {file.name for file in (tmp_path / "out" / model / "training").iterdir()}
        assert {"member-0.csv", "member-1.csv"} <= logs
        assert all(log.endswith(".csv") for log in logs)
    second = inference.release(SECOND).parameters
    known = {"inferior", "anteroseptal", "anterior", "anterolateral", "lateral", "septal"}
    assert set(second["labels"].split(",")) | set(second["untrained"].split(",")) == known
    assert "septal" in second["untrained"].split(",")
    few = _few(tmp_path / "few", ("1", "2"), 3)
    figures = report(score(few, inference), draws=20)
    assert figures["out_of_fold"]["n"] == 6
    assert "septal" in figures["sites"]["untrained"]
    assert any("member 2: epoch 1 of 1" in line for line in said)


@needs_data
@pytest.mark.data
def test_without_an_infarction_there_is_nothing_to_learn() -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_mi.train import stages_of

    every = rows(PTBXL)
    with pytest.raises(Unusable, match="no record of those folds shows an infarction and its site"):
        stages_of([row for row in every if "NORM" in row.codes and "IMI" not in row.codes][:20])
    first, second = stages_of(every)
    assert first.truth[:, 0].sum() == 538
    assert dict(zip(second.outputs, second.truth[:, :5].sum(axis=0), strict=True)) == {
        "inferior": 332, "anteroseptal": 242, "anterior": 37, "anterolateral": 20, "lateral": 89}
    assert second.untrained == ("septal",)


def test_too_few_records_are_refused_before_anything_is_learned() -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_mi.learning import BATCH, require_enough

    held, _ = _invented()
    require_enough(held)
    with pytest.raises(Unusable, match="at least 48 records"):
        require_enough(held.of(np.arange(1, 2 * BATCH)))


class Stopped(Exception):
    """Somebody ended the training."""


@pytest.mark.slow
def test_a_training_that_was_stopped_again_and_again_goes_on_to_the_same_networks(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    held, course = _invented()
    whole = _learned(held, course, tmp_path / "whole")
    course, said = replace(course, resume=True), list[str]()

    def until(wanted: str) -> Callable[[str], None]:
        def stop(line: str) -> None:
            said.append(line)
            if line.startswith(wanted):
                raise Stopped

        return stop

    for wanted in ("beside member 2, 1 of 2: epoch 3 ", "member 1: epoch 1 ", "member 2: epoch 2 "):
        with pytest.raises(Stopped):
            _learned(held, course, tmp_path / "parts", until(wanted))
    again = _learned(held, course, tmp_path / "parts", said.append)
    assert "member 1: taken up after epoch 1 of 2" in said
    assert np.array_equal(whole, again)
    assert np.ptp(whole) > 0.01


def _invented() -> tuple[Any, Any]:
    """Two folds of as few records as can be learned from, and what to learn of them."""
    from pipelines.ecg_mi.examples import VARIANTS, Examples
    from pipelines.ecg_mi.learning import BATCH, Course

    random, count = np.random.default_rng(0), 2 * BATCH
    truth = (random.random((count, 4)) < 0.4).astype(np.float32)
    truth[:, 2] *= 1 - truth[:, 1]
    waves = random.normal(0, 0.1, (VARIANTS, count, 12, SECTION)).astype(np.float16)
    beats = random.normal(truth[None, :, :1, None], 1, (VARIANTS, count, 12, SHAPE)).astype(np.float32)
    features = random.normal(0, 1, (VARIANTS, count, len(FEATURES))).astype(np.float32)
    held = Examples(waves, np.tile((0, SECTION), (VARIANTS, count, 1)), beats, features,
                    np.repeat((1, 2), BATCH).astype(np.intp))
    return held, Course(INFARCTION, ("MI", "anterior"), ("MI", "anterior", "anteroseptal", "x"), truth, 3, 2)


def _learned(held: Any, course: Any, folder: Path, progress: Any = lambda _: None) -> Any:
    from pipelines.ecg_mi.learning import learn
    from pipelines.ecg_mi.train_beside import learn_beside, together

    beside = learn_beside(held, course, folder, progress)
    return together(learn(held, course, folder, progress), beside, course.outputs).logits


def test_sites_that_never_come_together_share_one_probability() -> None:
    torch = pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_mi.train_record import apart

    names = ("MI", "anterior", "lateral", "anteroseptal")
    truth = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], np.float32)
    assert never_together(truth, names) == ((3, 1),)
    assert never_together(np.ones((1, 4), np.float32), names) == ()
    assert never_together(truth[:, :3], names[:3]) == ()
    logits = torch.tensor([[2.0, 3.0, -1.0, 4.0]])
    told = torch.sigmoid(apart(logits, ((3, 1),)))[0].numpy()
    softmax = torch.softmax(torch.tensor([3.0, 4.0, 0.0]), 0).numpy()
    assert told[[1, 3]] == pytest.approx(softmax[:2], abs=1e-6)
    assert told[[0, 2]] == pytest.approx(torch.sigmoid(logits)[0, [0, 2]].numpy())
    assert apart(logits, ()) is logits
