"""Training and validation on the real PTB-XL records, where they lie beside the project."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from pipelines import ecg_1lead, ecg_12lead
from pipelines.ecg.memory import memory_of
from pipelines.ecg.ptbxl import Row, rows
from pipelines.ecg.thresholds import HIGHEST, LOWEST, normal_threshold, threshold
from pipelines.ecg_12lead.labels import LABELS, OUTPUTS
from pipelines.ecg_12lead.truth import truth_of
from pipelines.ecg_12lead.validate import score
from pipelines.validation.report import report
from tests.reading import DATA, MODELS

PTBXL = DATA / "ptb-xl"
needs_data = pytest.mark.skipif(not PTBXL.is_dir(), reason="../shared/data/ptb-xl is not there")


def test_truth_is_positive_whatever_the_likelihood() -> None:
    truth = dict(zip(OUTPUTS, truth_of({"AFIB": 0.0, "NORM": 80.0, "LAFB": 100.0}, "ALAD"), strict=True))
    assert {name for name, value in truth.items() if value == 1} == {"AFIB", "NORM", "LAD"}
    assert not any(np.isnan(value) for value in truth.values())


def test_a_blank_axis_says_nothing_of_either_side() -> None:
    truth = dict(zip(OUTPUTS, truth_of({"SBRAD": 0.0}, ""), strict=True))
    assert {name for name, value in truth.items() if np.isnan(value)} == {"LAD", "RAD"}
    right = dict(zip(OUTPUTS, truth_of({}, "ARAD"), strict=True))
    assert (right["RAD"], right["LAD"]) == (1, 0)


def test_thresholds_reach_the_wanted_sensitivity_and_no_more() -> None:
    probability = np.array([0.02] * 50 + [0.06] * 4 + [0.3, 0.35, 0.4, 0.45])
    truth = np.array([0.0] * 54 + [1.0] * 4)
    assert 0.06 < threshold(probability, truth, 0.95, 0.9) <= 0.3
    assert 0.3 < threshold(probability, truth, 0.75, 0.9) <= 0.35
    assert threshold(probability, np.zeros(58), 0.95, 0.9) == HIGHEST


def test_a_sensitivity_that_costs_too_much_is_given_up() -> None:
    """One positive looks like any negative: finding it too would call everybody ill."""
    probability = np.array([0.03] * 50 + [0.03, 0.4, 0.4, 0.4])
    truth = np.array([0.0] * 50 + [1.0] * 4)
    assert 0.03 < threshold(probability, truth, 0.95, 0.9) <= 0.4
    assert LOWEST <= threshold(probability, truth, 0.95, 0.0) <= HIGHEST


def test_few_abnormal_records_are_called_normal() -> None:
    level = normal_threshold(np.linspace(0, 1, 101), np.zeros(101))
    assert (np.linspace(0, 1, 101) >= level).mean() <= 0.03
    assert normal_threshold(np.linspace(0, 1, 101), np.ones(101)) == 1.0


def test_a_folder_that_is_no_ptbxl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"ptbxl_database\.csv"):
        rows(tmp_path)


@needs_data
@pytest.mark.data
def test_no_patient_is_in_two_parts() -> None:
    parts: dict[str, set[int]] = {}
    for row in rows(PTBXL):
        parts.setdefault(row.patient, set()).add(row.fold)
    assert all(len(of) == 1 for of in parts.values())


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("package", [ecg_12lead, ecg_1lead], ids=["ecg_12lead", "ecg_1lead"])
def test_the_model_knows_what_it_has_learned_from(package: Any) -> None:
    """Each of its records is told by a member that left it out, and a stranger's by all."""
    memory = memory_of(EmbeddedInference(MODELS, 30, 1).release(package.PIPELINE.name))
    every = rows(PTBXL)
    told = [memory.member(row) for row in every]
    assert None not in told
    assert len(set(told)) == len(memory.thresholds) >= 2
    strangers = [Row(f"{n}", f"{n}.0", n % 10 + 1, Path(f"other/{n}"), {}, "", {}) for n in range(1000)]
    assert sum(memory.member(row) is not None for row in strangers) <= 3


@pytest.mark.parametrize("package", [ecg_12lead, ecg_1lead], ids=["ecg_12lead", "ecg_1lead"])
def test_the_card_tells_the_figures_of_the_training(package: Any) -> None:
    name = package.PIPELINE.name
    trained = json.loads(EmbeddedInference(MODELS, 30, 1).release(name).parameters["training"])
    card = (MODELS / name / "MODEL.md").read_text(encoding="utf-8")
    assert trained["data"] in card
    labels = {label: area for label, area in trained["out_of_fold_auc"].items() if label != "NORM"}
    assert f"{np.mean(list(labels.values())):.3f}" in card


def _few(folder: Path, folds: tuple[str, ...], count: int) -> Path:
    """PTB-XL's layout with the first so many rows of each of those folds."""
    with (PTBXL / "ptbxl_database.csv").open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        every, names = list(reader), reader.fieldnames or []
    kept = [row for fold in folds for row in [r for r in every if r["strat_fold"] == fold][:count]]
    folder.mkdir()
    (folder / "records500").symlink_to((PTBXL / "records500").resolve())
    with (folder / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows(kept)
    return folder


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_training_records_are_scored_out_of_fold_and_a_stranger_s_by_all(tmp_path: Path) -> None:
    data = _few(tmp_path / "data", ("3", "10"), 30)
    inference = EmbeddedInference(MODELS, 60, 2)
    scored = score(data, inference)
    told = report(scored)
    assert set(told["labels"]) == {label.name for label in LABELS}
    assert told["out_of_fold"]["n"] == 60
    assert told["normal"]["auc"] > 0.75
    json.dumps(told, allow_nan=False)
    table = data / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("records500", "other/../records500"))
    lines = list(csv.DictReader(table.open(newline="")))
    for line in lines:
        line["patient_id"] = f"9{line['patient_id']}"
    with table.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines[:8])
    (data / "other").mkdir()
    again = score(data, inference)
    assert report(again)["out_of_fold"]["n"] == 0
    first = {record.name: record.probability for record in scored.records}
    assert any(first[record.name] != record.probability for record in again.records)


@needs_data
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_left_and_taken_up_gives_the_model_that_one_go_gives(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_1lead.train import train

    class Left(Exception):
        pass

    def leave(line: str) -> None:
        if line.startswith("member 2: epoch 1 of"):
            raise Left

    data, said = _few(tmp_path / "data", ("1", "2"), 50), list[str]()
    in_parts, in_one_go = tmp_path / "a", tmp_path / "b"
    with pytest.raises(Left):
        train(data, in_parts, epochs=2, progress=leave)
    left = train(data, in_parts, epochs=2, resume=True, progress=said.append)
    assert "member 2: taken up after epoch 1 of 2" in said
    assert json.dumps(left) == json.dumps(train(data, in_one_go, epochs=2))
    assert EmbeddedInference(in_parts, 30, 1).release("ecg_1lead").sha256 == left["sha256"]
    assert sorted(file.name for file in (in_parts / "ecg_1lead" / "training").iterdir()) == [
        "member-0.csv", "member-1.csv"]
    assert not list(tmp_path.rglob("checkpoint.pt"))
