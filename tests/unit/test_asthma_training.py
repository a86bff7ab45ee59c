"""A small training of the breath sound reader from its layout to a model, and its validation."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.app.recordings import RecordingFiles
from gateway.errors import Unusable
from pipelines.asthma.combine import fitted
from pipelines.asthma.kauh import rows, truth_of
from pipelines.asthma.labels import LABELS
from pipelines.asthma.synthetic import breath
from pipelines.asthma.train_clips import Learned
from pipelines.asthma.validate import score
from pipelines.validation.ranking import auc
from pipelines.validation.report import report
from tests.sounds import wav

KINDS = (("asthma", "E W", "wheezes"), ("heart failure", "Crep", "crackles"), ("normal", "N", "normal"))


def layout(folder: Path, subjects: int = 12) -> Path:
    """Subjects of three kinds, two files each; the last one is silent."""
    (folder / "wav").mkdir(parents=True)
    with (folder / "recordings.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("file", "subject", "filter", "diagnosis", "sound", "location", "age", "sex"))
        for subject in range(subjects):
            diagnosis, sound, kind = KINDS[subject % 3]
            for letter in "BD":
                name = f"{letter}{subject:03d}.wav"
                made = breath(kind, subject, 10) * (0.0 if subject == subjects - 1 else 1.0)
                (folder / "wav" / name).write_bytes(wav(made * (0.5 if letter == "D" else 1)))
                writer.writerow((name, subject, letter, diagnosis, sound, "P L L", 30 + subject, "MF"[subject % 2]))
    return folder


@pytest.mark.parametrize(("diagnosis", "sound", "truth"), [
    ("asthma", "E W", (1, 1, 1, 0)), ("Asthma and lung fibrosis", "C", (1, 1, 0, 1)), ("copd", "I C E W", (0, 1, 1, 1)),
    ("heart failure", "Crep", (0, 1, 0, 1)), ("normal", "N", (0, 0, 0, 0)), ("BRON", "", (0, 1, None, None))])
def test_truth(diagnosis: str, sound: str, truth: tuple[Any, ...]) -> None:
    told = truth_of(diagnosis, sound)
    assert tuple(told.get(label.name) for label in LABELS) == truth


def test_subjects_who_may_be_one_person_are_together(tmp_path: Path) -> None:
    lines = ("file,subject,diagnosis,sound,age,sex", "a.wav,59,hf,C,83,F", "b.wav,60,hf,C,83,F",
             "c.wav,61,copd,E W,53,M", "d.wav,62,copd,E W,,M")
    (tmp_path / "recordings.csv").write_text("\n".join(lines))
    first, second, third, fourth = rows(tmp_path)
    assert first.person == second.person != third.person != fourth.person


@pytest.mark.parametrize("table", ["", "file,subject\na.wav,1\n", "file,subject,diagnosis\n"])
def test_other_folders_are_refused(tmp_path: Path, table: str) -> None:
    if table:
        (tmp_path / "recordings.csv").write_text(table)
    with pytest.raises(Unusable, match=r"recordings\.csv"):
        rows(tmp_path)


def test_network_and_measures_count_alike() -> None:
    random = np.random.default_rng(0)
    logits, features = 5 * random.normal(size=(400, 4)) + 3, random.normal(size=(400, 3))
    truth = np.column_stack([logits[:, 2] / 5 + features[:, 0] / 2 + features[:, 1] / 2 > 0.6] * 4).astype(float)
    truth[:50, 3] = np.nan
    both = fitted(logits, features, truth, np.ones(400))
    assert ((both.log_odds(logits, features)[:, 0] > 0) == truth[:, 0]).mean() > 0.95
    assert both.network[:, 0].nonzero()[0].tolist() == [2]
    assert both.features[:, 0].nonzero()[0].tolist() == [0, 1]
    assert both.features[0, 0] / both.network[2, 0] == pytest.approx(2.5, rel=0.1)
    assert not fitted(np.zeros_like(logits), features, truth, np.ones(400)).network.any()


def test_only_subjects_of_one_fold_are_compared() -> None:
    """Each fold ranks right within itself, one of them lower as a whole: that is no mistake."""
    from pipelines.asthma.train_judged import within_folds

    truth = np.tile(np.array([[1, 1, 1, 0], [0, 0, 0, 1]], np.float32), (4, 1))
    names = tuple(str(n) for n in range(8))
    nothing = np.zeros(0, np.float16)
    learned = Learned(truth, np.zeros((8, 3)), names, names, names, nothing, np.arange(8), nothing, np.arange(0))
    folds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.where(truth > 0, 1.0, 0.0) - 5.0 * folds[:, None]
    assert within_folds(learned, folds, scores, 0) == 1
    assert auc(*learned.by_subject(scores, 0)) == 0.75
    assert within_folds(learned, folds, -scores, 0) == 0
    assert np.isnan(within_folds(learned, np.arange(8), scores, 0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:# The axis name")
def test_a_training_makes_a_model_that_validates(tmp_path: Path) -> None:
    """Each subject once; what was learned from is told by the part that left it out; silence gets no score."""
    from pipelines.asthma.train import train

    data = layout(tmp_path / "data")
    told = train(data, tmp_path / "models", recordings=RecordingFiles(), epochs=1, synthetic_sounds=32, draws=1,
                 beginnings=2)
    kinds, ways = ("transformer", "dense", "both kinds"), ("synthetic sounds alone", "then recordings")
    assert set(told["auc"]) == {f"{kind}, {way}" for kind in kinds for way in ways}
    best = max(told["auc"], key=lambda name: sum(told["auc"][name]["both"][label] for label in ("asthma", "abnormal")))
    assert told["network"] == best
    assert {label: len(found) for label, found in told["spread"][best].items()} == {"asthma": 2, "abnormal": 2}
    assert not (tmp_path / "models/asthma/training").exists()
    with (tmp_path / "models/asthma/log.csv").open() as lines:
        log = list(csv.DictReader(lines))
    assert {line["beginning"] for line in log if line["network"] == "transformer-0-4"} == {"0", "1"}
    assert sum(line["network"] == "dense-first" for line in log) == 2 * 4
    scored = score(data, EmbeddedInference(tmp_path / "models", 60, 1), recordings=RecordingFiles())
    figures = report(scored)
    assert list(figures["labels"]) == ["asthma", "abnormal"]
    assert [figures["labels"]["asthma"][key] for key in ("n", "positives")] == [11, 4]
    assert (figures["files"], figures["out_of_fold_files"], figures["files_refused"]) == (24, 22, {"silence": 2})
    assert figures["undetermined"] == {"n": 1, "share": 1 / 12, "reasons": {"silence": 1}}
    assert figures["labels"]["asthma"]["auc"] > 0.7
