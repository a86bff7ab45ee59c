"""Dermoscopy: what is fitted, the graph that is exported, and a training from a folder of drawn pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

from adapters.inference.embedded import EmbeddedInference
from gateway.app.recordings import RecordingFiles
from pipelines.dermoscopy import fitting
from pipelines.dermoscopy.fitting import Data
from pipelines.dermoscopy.synthetic import lesion
from pipelines.validation.ranking import auc

torch = pytest.importorskip("torch")


def drawn_data(count: int = 120) -> Data:
    """Melanoma follows one feature, keratosis the texture, both age."""
    random = np.random.default_rng(0)
    features, person = random.normal(size=(count, 20)), np.zeros((count, 5))
    person[:, 0], person[:, 2], person[:, 3] = random.normal(size=count), 1, random.integers(0, 2, count)
    texture = random.normal(size=(count, 30))
    chance = np.stack([expit(4 * features[:, 0] + person[:, 0] - 2), expit(4 * texture[:, 0] - 2)], axis=1)
    truth = (random.random((count, 2)) < chance).astype(np.float64)
    truth[truth[:, 0] > 0.5, 1] = 0
    truth[::10, 1] = np.nan
    return Data(features.astype(np.float32), person.astype(np.float32), texture.astype(np.float32), truth)


def test_what_is_learned_holds_for_others() -> None:
    data = drawn_data(240)
    space = fitting.space_of(data.features)
    kernels = fitting.kernels_of(data, space)
    learned, asked = np.arange(160), np.arange(160, 240)
    told = fitting.scores(kernels, fitting.fit(kernels, data.truth, learned), learned, asked)
    assert told.shape == (80, 6)
    assert auc(data.truth[asked, 0], told[:, 0]) > 0.8
    known = ~np.isnan(data.truth[asked, 1])
    assert auc(data.truth[asked][known, 1], told[known, 5]) > 0.7


def test_joined_scores_are_probabilities_and_the_unknown_teaches_nothing() -> None:
    data = drawn_data()
    kinds = fitting.kinds(data.truth)
    assert set(kinds) == {-1, 0, 1, 2}
    blur = np.random.default_rng(1).normal(0, 0.3, (120, 2))
    told = np.stack([(kinds == 0) * 2.0, (kinds == 1) * 2.0], axis=1) + blur
    joined = fitting.stack(told, data.truth)
    given = joined.probabilities(told)
    np.testing.assert_allclose(given.sum(axis=1), 1)
    assert given[kinds == 0, 0].mean() > 0.8
    assert given[kinds == 2, 2].mean() > 0.8
    relabelled = data.truth.copy()
    relabelled[kinds == -1] = (0, 0)
    assert np.abs(fitting.stack(told, relabelled).weights - joined.weights).max() > 1e-6


def test_other_things_are_told_from_lesions() -> None:
    data = drawn_data()
    space = fitting.space_of(data.features)
    others = data.features[:60] + np.array([0, 5, *[0] * 18], np.float32)
    weights = fitting.strangeness(space, data.features[:90], others[:40])
    asked = np.concatenate([data.features[90:], others[40:]])
    score = fitting.strange_scores(space, data.features[:90], others[:40], weights, asked)
    assert auc(np.r_[np.zeros(30), np.ones(20)], score) > 0.95


@pytest.mark.slow
def test_evidence_adds_up_to_the_score_of_the_texture() -> None:
    from pipelines.dermoscopy.dictionary import SCALES, learn
    from pipelines.dermoscopy.network import Texture, _map

    views = np.random.default_rng(0).normal(0, 1, (30, 4, 144, 144)).astype(np.float16)
    views[:, 3] = 1
    for dictionary, scale in zip(learn(views, 0), SCALES, strict=True):
        texture = Texture(dictionary, *scale)
        view = torch.from_numpy(views[:4].astype(np.float32))
        vector = texture(view)
        words = torch.randn(vector.shape[1], 2, generator=torch.Generator().manual_seed(0))
        words[:32] = 0  # the share of a word also counts where it is absent, which belongs to no place
        total = _map(texture, view, words).sum(dim=(2, 3))
        torch.testing.assert_close(total, vector @ words, atol=0.15, rtol=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:# The axis name:UserWarning", "ignore:.*LeafSpec:FutureWarning")
def test_a_folder_becomes_a_model_that_is_served(tmp_path: Path) -> None:
    from pipelines.dermoscopy.train import train
    from pipelines.dermoscopy.validate import score

    data, out = _folder(tmp_path / "data"), tmp_path / "models"
    kept = out / "dermoscopy" / "prepared"
    kept.mkdir(parents=True)
    np.savez(kept / "others.npz", features=np.random.default_rng(0).normal(0, 3, (20, 468)).astype(np.float32))
    made = train(data, out, seed=1, resume=True, recordings=RecordingFiles())
    assert made["lesion found"] == 20
    assert not kept.exists()
    scored = score(data, EmbeddedInference(out, 60, 1), recordings=RecordingFiles())
    assert len(scored.records) == 20
    truth, given = scored.column("melanoma")
    assert auc(truth, given) > 0.8
    assert scored.models[0].sha256 == made["sha256"]
    assert scored.further["auc_with_verdict"].keys() == {"melanoma", "seborrheic_keratosis"}


def _folder(data: Path) -> Path:
    """Twenty drawn lesions: ragged ones of two colours are called melanoma."""
    (data / "images").mkdir(parents=True)
    lines = ["image_id,melanoma,seborrheic_keratosis,age_approximate,sex"]
    for number in range(20):
        kind = number % 4
        pixels = lesion(number, ragged=0.25 if kind == 0 else 0.05, second=kind == 0, shape=(256, 256))
        pixels = np.roll(pixels, (-45 + 30 * (number // 4 % 4), -45 + 30 * kind), axis=(0, 1))  # else one lesion
        Image.fromarray(pixels).save(data / "images" / f"P{number}.jpg", quality=90)
        lines.append(f"P{number},{int(kind == 0)},{int(kind == 1)},{40 + number},female")
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    return data
