"""Both stages trained on a few real records, and what the served ones know of their training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from pipelines.ecg.memory import joined, memory_of
from pipelines.ecg.ptbxl import rows
from pipelines.ecg_mi import PIPELINE
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
        assert sorted(file.name for file in (tmp_path / "out" / model / "training").iterdir()) == [
            "member-0.csv", "member-1.csv"]
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
