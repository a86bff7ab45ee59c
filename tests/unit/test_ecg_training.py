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
from pipelines.ecg.choosing import thresholds
from pipelines.ecg.memory import memory_of
from pipelines.ecg.ptbxl import Row, rows
from pipelines.ecg.suspicion import ANY, suspicion
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


def test_a_threshold_lies_where_both_wishes_are_nearest() -> None:
    probability = np.array([0.02] * 50 + [0.06] * 4 + [0.3, 0.35, 0.4, 0.45])
    truth = np.array([0.0] * 54 + [1.0] * 4)
    assert 0.06 < threshold(probability, truth, 0.95, 0.9) <= 0.3
    assert threshold(probability, np.zeros(58), 0.95, 0.9) == threshold(probability, np.ones(58), 0.95, 0.9) == HIGHEST


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_comes_nearer_to_both(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = (random.random(400) < 0.2).astype(float)
    probability = random.beta(1 + 2 * truth, 4)

    def surplus(level: float) -> float:
        called = probability >= level
        return float(min(called[truth == 1].mean() - 0.9, (~called[truth == 0]).mean() - 0.8))

    chosen = surplus(threshold(probability, truth, 0.9, 0.8))
    assert chosen >= max(surplus(level) for level in np.linspace(LOWEST, HIGHEST, 300)) - 1e-9


def test_few_abnormal_records_are_called_normal() -> None:
    level = normal_threshold(np.linspace(0, 1, 101), np.ones(101))
    assert (np.linspace(0, 1, 101) >= level).mean() <= 0.03
    assert normal_threshold(np.linspace(0, 1, 101), np.zeros(101)) == 1.0


def test_all_thresholds_are_chosen_together() -> None:
    """Of those with a syndrome the wanted share is suspect, and of the other abnormal ones few come out normal."""
    random = np.random.default_rng(1)
    truth = np.zeros((900, 3), np.float32)
    truth[:300, 0], truth[300:600, 2] = 1, 1
    truth[600:, 1] = np.nan
    given = np.clip(np.stack([random.beta(1 + 6 * truth[:, 0], 8), random.beta(1, 30, 900),
                              random.beta(2 + 6 * truth[:, 2], 4)], axis=1), 0.001, 0.999)
    chosen = thresholds(("A", "B", "NORM"), {"A": (0.9, 0.9), "B": (0.9, 0.9)}, 0.97, given, truth)
    suspect = np.array([suspicion(row[:2], row[2]) >= chosen[ANY] for row in given])
    assert 0.97 <= suspect[:300].mean() <= 0.98
    counts = given[:, :2] >= [[chosen["A"], chosen["B"]] if of else [0.5, 0.5] for of in suspect]
    normal = ~counts.any(axis=1) & (given[:, 2] >= chosen["NORM"])
    assert 0 < normal[600:].mean() <= 0.03 < normal[300:600].mean()


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
