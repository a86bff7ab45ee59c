"""Training and validation on the real PTB-XL records, where they lie beside the project."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from pipelines.ecg.ptbxl import rows
from pipelines.ecg_12lead.calibration import normal_threshold, platt, threshold
from pipelines.ecg_12lead.labels import LABELS, OUTPUTS
from pipelines.ecg_12lead.truth import truth_of
from pipelines.ecg_12lead.validate import validate
from pipelines.validation.ranking import auc
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


def test_platt_finds_the_slope_and_keeps_the_order() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-1, 2, 4000)
    truth = (random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(float)
    slope, offset = platt(logits, truth)
    assert slope == pytest.approx(0.5, abs=0.06)
    assert offset == pytest.approx(-1, abs=0.15)
    few = np.zeros(50)
    few[0] = 1
    assert platt(np.linspace(3, -3, 50), few)[0] > 0


def test_thresholds_part_the_classes() -> None:
    probability = np.array([0.02] * 50 + [0.45] * 10)
    truth = np.array([0.0] * 50 + [1.0] * 10)
    assert 0.1 <= threshold(probability, truth) <= 0.45
    level = normal_threshold(np.linspace(0, 1, 101), np.zeros(101))
    assert (np.linspace(0, 1, 101) >= level).mean() <= 0.05


def test_a_folder_that_is_no_ptbxl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"ptbxl_database\.csv"):
        rows(tmp_path)


@needs_data
@pytest.mark.data
def test_no_patient_is_in_two_parts() -> None:
    parts: dict[str, set[str]] = {}
    for row in rows(PTBXL):
        parts.setdefault(row.patient, set()).add("training" if row.fold < 9 else str(row.fold))
    assert all(len(of) == 1 for of in parts.values())


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_the_model_reads_the_held_out_fold_and_says_so_in_its_card(tmp_path: Path) -> None:
    report = validate(PTBXL, EmbeddedInference(MODELS, 60, 2), predictions=tmp_path / "p.csv")
    assert report["macro_auc"] >= 0.94
    assert set(report["labels"]) == {label.name for label in LABELS}
    assert (report["folds"], report["labels"]["LAD"]["n"]) == ({"10": 283}, 131)
    json.dumps(report, allow_nan=False)
    card = (MODELS / "ecg_12lead" / "MODEL.md").read_text()
    assert f"macro AUC {report['macro_auc']:.3f}" in card
    assert f"{report['labels']['AFIB']['auc']:.3f}" in card
    _same_from_predictions(tmp_path / "p.csv", report)


def _same_from_predictions(file: Path, report: dict[str, dict[str, dict[str, float]]]) -> None:
    """Others can compute the figures again."""
    with file.open(newline="") as lines:
        told = list(csv.DictReader(lines))
    for name, figures in report["labels"].items():
        of = [line for line in told if line["label"] == name]
        truth, probability = (np.array([float(line[key]) for line in of]) for key in ("truth", "probability"))
        assert len(of) == figures["n"]
        assert auc(truth, probability) == pytest.approx(figures["auc"])


def _few(folder: Path, count: int) -> Path:
    """PTB-XL's layout with the first rows of folds 1-8 and some of fold 9, at least one of them normal."""
    with (PTBXL / "ptbxl_database.csv").open(newline="") as lines:
        reader = csv.DictReader(lines)
        every, names = list(reader), reader.fieldnames or []
    kept = [r for r in every if int(r["strat_fold"]) < 9][:count] + [r for r in every if r["strat_fold"] == "9"][:40]
    folder.mkdir()
    (folder / "records500").symlink_to((PTBXL / "records500").resolve())
    with (folder / "ptbxl_database.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows(kept)
    return folder


@needs_data
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_left_and_taken_up_gives_the_model_that_one_go_gives(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_12lead.train import train

    class Left(Exception):
        pass

    def leave(line: str) -> None:
        if line.startswith("epoch 1 of"):
            raise Left

    data, said = _few(tmp_path / "data", 60), list[str]()
    in_parts, in_one_go = tmp_path / "a", tmp_path / "b"
    with pytest.raises(Left):
        train(data, in_parts, epochs=2, progress=leave)
    left = train(data, in_parts, epochs=2, progress=said.append)
    assert "taken up after epoch 1" in said
    assert left == train(data, in_one_go, epochs=2)
    inference = EmbeddedInference(in_parts, 30, 1)
    assert inference.release("ecg_12lead").sha256 == left["sha256"]
    assert not list(tmp_path.rglob("checkpoint.pt"))
    assert validate(data, inference, folds=(9,))["records"] == 40
