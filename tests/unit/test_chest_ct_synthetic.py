"""The generator, the calibration and the validation of the chest CT demonstration."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from pipelines.chest_ct import cases, synthetic
from pipelines.chest_ct.calibration import Curve, threshold
from pipelines.chest_ct.validate import score
from pipelines.learning.calibration import platt_of_scores
from pipelines.validation import predictions
from pipelines.validation.progress import silent
from pipelines.validation.ranking import auc
from pipelines.validation.report import report
from tests.reading import MODELS

pytestmark = pytest.mark.slow


def test_the_same_seed_gives_the_same_chest() -> None:
    one, two = (synthetic.chest(5, ("nodule",), shape=(40, 100, 100), spacing=(7.5, 3.8, 3.8)) for _ in range(2))
    assert np.array_equal(one.hu, two.hu)
    assert np.array_equal(one.lesions["nodule"], two.lesions["nodule"])


@pytest.mark.parametrize("kind", synthetic.LESIONS)
def test_disease_changes_the_chest_where_its_mask_says(kind: str) -> None:
    healthy = synthetic.chest(6, (), shape=(40, 100, 100), spacing=(7.5, 3.8, 3.8))
    sick = synthetic.chest(6, (kind,), shape=(40, 100, 100), spacing=(7.5, 3.8, 3.8), severity=0.8)
    mask = sick.lesions[kind]
    assert 0 <= mask.min() <= mask.max() <= 1
    change = sick.hu - healthy.hu
    assert mask.sum() > 20
    assert np.abs(change[mask == 0]).max() < 0.01
    assert change[mask > 0.6].mean() < -20 if kind == "emphysema" else change[mask > 0.6].mean() > 150


def test_another_noise_leaves_the_anatomy() -> None:
    one = synthetic.chest(7, (), shape=(40, 100, 100), spacing=(7.5, 3.8, 3.8), noise_seed=1)
    two = synthetic.chest(7, (), shape=(40, 100, 100), spacing=(7.5, 3.8, 3.8), noise_seed=2)
    difference = one.hu - two.hu
    assert 1 < difference.std() < 60
    assert abs(float(difference.mean())) < 1


@pytest.mark.slow
def test_samples_are_ct_slices() -> None:
    samples = synthetic.samples()
    assert {sample.verdict for sample in samples} == {"normal", "pathology"}
    assert len({sample.name for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.hu.dtype == np.int16
        assert sample.hu.shape == (64, 256, 256)
        assert (np.diff(sample.positions) == sample.spacing[0]).all()
        assert -1024 <= sample.hu.min() < -950 < 200 < sample.hu.max() <= 3071


def test_a_perfect_split_stays_a_probability() -> None:
    fitted = platt_of_scores(np.array([0.0, 1, 2, 7, 8, 9]), np.array([0.0, 0, 0, 1, 1, 1]))
    curve = Curve(fitted.slope, fitted.offset, 0.5)
    assert 0.1 < fitted.slope < 5
    assert curve.probability(2) < 0.4 < 0.6 < curve.probability(7) < 0.999
    assert curve.probability(1e9) <= 1


@settings(max_examples=40)
@given(st.integers(0, 2 ** 32 - 1))
def test_a_higher_score_never_means_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert platt_of_scores(rng.normal(size=12), (rng.uniform(size=12) > 0.5).astype(float)).slope >= 0


def test_the_threshold_leaves_nearly_all_without_it_below() -> None:
    low, high = np.linspace(0.1, 0.3, 50), np.linspace(0.6, 0.9, 50)
    truth = np.repeat([0.0, 1.0], 50)
    assert threshold(np.concatenate([low, high]), truth) == 0.5
    muddled = threshold(np.concatenate([low * 2.5, high]), truth)
    assert (low * 2.5 < muddled).mean() >= 0.98
    assert threshold(np.concatenate([low * 3.3, high]), truth) == 0.95
    assert threshold(high, np.ones(50)) == 0.5


@pytest.mark.slow
def test_validation_on_synthetic_chests_and_its_csv(tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    scored = score(Path("synthetic"), EmbeddedInference(MODELS, 60, 1), cases=12)
    predictions.write(out, scored)
    told = report(scored, draws=20)
    json.dumps(told, allow_nan=False)
    assert told["records"] == 12
    rows = [row for row in csv.DictReader(out.read_text().splitlines()) if row["label"] == "abnormal"]
    again = auc(np.array([float(r["truth"]) for r in rows]), np.array([float(r["probability"]) for r in rows]))
    figure = told["labels"]["abnormal"]
    assert figure["n"] == len(rows)
    assert figure["auc"] == pytest.approx(again, abs=1e-3)


@pytest.mark.slow
def test_validation_of_a_folder(tmp_path: Path) -> None:
    for name, kinds in (("a", ()), ("b", ("opacity",))):
        case = synthetic.chest(883_000_000, kinds, shape=(64, 150, 150), spacing=(5.0, 2.5, 2.5), severity=0.9)
        np.savez_compressed(tmp_path / f"{name}.npz", hu=case.hu, spacing=case.spacing)
    (tmp_path / "labels.csv").write_text("name,age,abnormal,opacity,nodule\na,50,0,0,\nb,70,1,1,\n")
    told = report(score(tmp_path, EmbeddedInference(MODELS, 60, 1)), draws=20)
    assert told["labels"]["abnormal"]["auc"] == 1
    assert told["labels"]["abnormal"]["sensitivity"] == 1
    assert told["labels"]["opacity"]["positives"] == 1
    assert told["labels"]["nodule"]["n"] == 0
    assert told["verdicts"]["abnormal"] == {"pathology": 1}
    assert set(told["subgroups"]["age"]) == {"40-64", "65-79"}


def test_validation_without_data_is_refused(tmp_path: Path) -> None:
    inference = EmbeddedInference(MODELS, 60, 1)
    with pytest.raises(Unusable, match=r"labels\.csv"):
        score(tmp_path, inference)
    (tmp_path / "labels.csv").write_text("name,abnormal\nc,1\n")
    with pytest.raises(Unusable, match=r"labels\.csv, line 2: the volume is not there"):
        score(tmp_path, inference)


def small_train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`train` of chest_ct with one thread, and content with three of everything."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    torch.set_num_threads(1)
    from pipelines.chest_ct import train_volumes
    from pipelines.chest_ct.train import train
    monkeypatch.setattr(train_volumes, "LEAST", 3)
    return train


def test_training_writes_models_that_the_gateway_can_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few coarse cases, one epoch: no good, but whole."""
    def coarse(seed: int, *, crowded: bool = False) -> synthetic.Case:
        return synthetic.chest(seed, ("opacity",) * (seed % 2), shape=(40, 90, 90), spacing=(7.5, 4.0, 4.0))

    monkeypatch.setattr(cases, "random_case", coarse)
    told: list[str] = []
    summary = small_train(monkeypatch)(None, tmp_path, seed=3, epochs=1, cases=8, progress=told.append)
    inference = EmbeddedInference(tmp_path, 60, 1)
    for model in ("chest_ct_classifier", "chest_ct_autoencoder"):
        release = inference.release(model)
        assert release.sha256 == summary["sha256"][model]
        assert release.demonstration
        assert (tmp_path / model / "training.csv").read_text().startswith("epoch,loss")
    assert told
    assert not (tmp_path / ".training" / "chest_ct").exists()


def test_who_takes_a_training_up_does_not_make_its_chests_again(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the train extra is not installed")
    from pipelines.chest_ct import train_synthetic

    def coarse(seed: int, *, crowded: bool = False) -> synthetic.Case:
        return synthetic.chest(seed, ("opacity",), shape=(40, 90, 90), spacing=(7.5, 4.0, 4.0))

    monkeypatch.setattr(cases, "random_case", coarse)
    made = train_synthetic.kept_slabs(2, 1, tmp_path, resume=True, progress=silent)
    assert made.truth.shape[1] == len(synthetic.LESIONS) + 1
    assert np.array_equal(made.truth[:, -1], made.truth[:, :-1].max(1))
    monkeypatch.setattr(cases, "random_case", None)
    again = train_synthetic.kept_slabs(2, 1, tmp_path, resume=True, progress=silent)
    assert all(np.array_equal(getattr(made, part), getattr(again, part)) for part in ("shown", "truth", "healthy"))


def test_a_hospitals_own_volumes_make_a_model_that_reads_and_is_no_demonstration(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = tmp_path / "data", tmp_path / "models"
    data.mkdir()
    lines = ["VolumeName,Atelectasis,Lung nodule,Consolidation"]
    for number in range(10):
        case = synthetic.chest(870_000_000 + number, ("opacity",) * (number % 2), shape=(40, 90, 90),
                               spacing=(7.5, 4.0, 4.0), severity=0.9)
        np.savez(data / f"train_{number}_a_1.npz", hu=case.hu, spacing=case.spacing)
        lines.append(f"train_{number}_a_1,0,,{number % 2}")
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    summary = small_train(monkeypatch)(data, out, seed=1, epochs=1)
    assert summary["volumes"] + summary["calibrated_on"] == 10
    inference = EmbeddedInference(out, 60, 1)
    release = inference.release("chest_ct_classifier")
    assert (release.demonstration, release.parameters["labels"]) == (False, "consolidation,abnormal")
    assert "of this site" in release.status
    scored = score(data, inference)
    assert scored.labels == ("consolidation", "abnormal")
    assert all(0 <= record.probability["consolidation"] <= 1 for record in scored.records)
    assert [record.group for record in scored.records][:2] == ["train_0", "train_1"]


def test_too_few_volumes_to_learn_from_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = synthetic.chest(870_000_000, (), shape=(40, 90, 90), spacing=(7.5, 4.0, 4.0))
    np.savez(tmp_path / "a.npz", hu=case.hu, spacing=case.spacing)
    (tmp_path / "labels.csv").write_text("record,nodule\na,0\n")
    with pytest.raises(Unusable, match=r"3 volumes with a finding.*there are 1 with lungs, 1 of them normal"):
        small_train(monkeypatch)(tmp_path, tmp_path / "out")


def test_who_takes_a_training_up_gets_the_batches_that_would_have_come() -> None:
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from pipelines.chest_ct.train_synthetic import Batches

    shown = np.random.default_rng(0).random((50, 3, 8, 8)).astype(np.float16)
    whole, again = (Batches(shown, shown[:, :2], seed=4) for _ in range(2))
    assert whole.steps == 2
    first = list(whole(np.random.default_rng((4, 0))))
    second = list(whole(np.random.default_rng((4, 1))))
    for expected, made in zip(second, again(np.random.default_rng((4, 1))), strict=True):
        assert all(torch.equal(one, two) for one, two in zip(expected, made, strict=True))
    assert not torch.equal(first[0][0], second[0][0])
