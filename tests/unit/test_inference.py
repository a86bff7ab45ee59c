"""Models in process: what is asked is checked, what runs is what the config names, failures say what to do."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from adapters.inference import open_inference
from adapters.inference.embedded import EmbeddedInference
from adapters.inference.repository import read_entry
from adapters.inference.tensors import check_outputs, in_batches
from adapters.inference.triton import TritonInference
from gateway.errors import NotReady, Permanent, Transient
from gateway.settings import InferenceSettings
from tests.reading import MODELS

NAME = "ecg_12lead"
OUTPUT = ("probabilities",)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the ECG model that a test may spoil."""
    shutil.copytree(MODELS / NAME, tmp_path / NAME)
    return tmp_path


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 30, 1)


def ecgs(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Noise, of which nothing could be measured."""
    return {"ecg": np.random.default_rng(seed).normal(0, 0.3, (count, 12, 1000)).astype(np.float32),
            "features": np.full((count, 25), np.nan, np.float32)}


def change(repository: Path, old: str, new: str) -> None:
    file = repository / NAME / "config.pbtxt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_release_says_what_the_config_says(inference: EmbeddedInference) -> None:
    release = inference.release(NAME)
    assert (release.name, release.version, release.demonstration) == (NAME, "2.1.0", False)
    assert len(release.sha256) == 64
    assert release.parameters["labels"].endswith(",NORM")


def test_every_model_of_the_repository_is_ready(inference: EmbeddedInference) -> None:
    assert NAME in inference.models()
    for name in inference.models():
        assert inference.release(name).status


def test_probabilities_come_out(inference: EmbeddedInference) -> None:
    (given,) = inference.infer(NAME, ecgs(3), OUTPUT).values()
    assert given.shape == (3, 12)
    assert ((given >= 0) & (given <= 1)).all()


def test_more_than_a_batch_is_split_and_joined(repository: Path, inference: EmbeddedInference) -> None:
    change(repository, "max_batch_size: 64", "max_batch_size: 4")
    small = EmbeddedInference(repository, 30, 1).infer(NAME, ecgs(11), OUTPUT)
    whole = inference.infer(NAME, ecgs(11), OUTPUT)
    np.testing.assert_allclose(small["probabilities"], whole["probabilities"], atol=1e-5)


def test_batches_hold_no_more_than_allowed() -> None:
    sizes = []

    def run(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(part["ecg"]))
        return {"sum": part["ecg"].sum(axis=(1, 2))}

    config = read_entry(MODELS, NAME).config
    config.max_batch_size = 4
    given = ecgs(11)
    np.testing.assert_array_equal(in_batches(config, given, run)["sum"], given["ecg"].sum(axis=(1, 2)))
    assert sizes == [4, 4, 3]


@pytest.mark.parametrize(("inputs", "outputs"), [
    ({"other": np.zeros((1, 12, 1000), np.float32)}, OUTPUT),
    ({}, OUTPUT),
    ({**ecgs(1), "more": np.zeros(1)}, OUTPUT),
    (ecgs(1), ("logits",)),
    (ecgs(1), ()),
    ({"ecg": np.zeros((1, 12, 1000), np.float64)}, OUTPUT),
    ({"ecg": np.zeros((1, 12, 999), np.float32)}, OUTPUT),
    ({"ecg": np.zeros((12, 1000), np.float32)}, OUTPUT),
    ({"ecg": np.zeros((0, 12, 1000), np.float32)}, OUTPUT),
])
def test_wrong_names_types_and_shapes_are_permanent(
        inference: EmbeddedInference, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> None:
    with pytest.raises(Permanent):
        inference.infer(NAME, inputs, outputs)


def test_an_answer_for_fewer_is_not_taken() -> None:
    config = read_entry(MODELS, NAME).config
    with pytest.raises(Permanent):
        check_outputs(config, {"probabilities": np.zeros((2, 12), np.float32)}, 3)
    with pytest.raises(Permanent):
        check_outputs(config, {"probabilities": np.zeros((3, 11), np.float32)}, 3)


def test_another_file_than_the_config_names_is_not_ready(repository: Path) -> None:
    with (repository / NAME / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    spoiled = EmbeddedInference(repository, 30, 1)
    with pytest.raises(NotReady, match="SHA-256"):
        spoiled.release(NAME)
    with pytest.raises(NotReady):
        spoiled.infer(NAME, ecgs(1), OUTPUT)


def test_a_file_put_right_is_ready_without_a_restart(repository: Path) -> None:
    file = repository / NAME / "1" / "model.onnx"
    content = file.read_bytes()
    file.unlink()
    inference = EmbeddedInference(repository, 30, 1)
    with pytest.raises(NotReady):
        inference.release(NAME)
    file.write_bytes(content)
    assert inference.release(NAME).name == NAME


@pytest.mark.parametrize(("old", "new"), [
    ('name: "ecg_12lead"', "name: broken"), ('name: "ecg_12lead"', 'name: "another"'), ("versions: 1", "versions: 2"),
    ('backend: "onnxruntime"', 'backend: "tensorrt"')])
def test_a_config_that_does_not_fit_is_not_ready(repository: Path, old: str, new: str) -> None:
    change(repository, old, new)
    with pytest.raises(NotReady):
        EmbeddedInference(repository, 30, 1).release(NAME)


def test_no_such_model() -> None:
    with pytest.raises(NotReady):
        EmbeddedInference(MODELS, 30, 1).release("nobody")


def test_a_run_past_its_time_is_stopped_and_may_be_tried_again(repository: Path) -> None:
    change(repository, "max_batch_size: 64", "max_batch_size: 2000")
    with pytest.raises(Transient, match="longer than"):
        EmbeddedInference(repository, 0.01, 1).infer(NAME, ecgs(1500), OUTPUT)


def test_one_model_serves_many_threads(inference: EmbeddedInference) -> None:
    expected = [inference.infer(NAME, ecgs(2, seed), OUTPUT)["probabilities"] for seed in range(4)]
    fresh = EmbeddedInference(MODELS, 30, 1)
    given: dict[int, np.ndarray] = {}

    def ask(seed: int) -> None:
        given[seed] = fresh.infer(NAME, ecgs(2, seed), OUTPUT)["probabilities"]

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        np.testing.assert_allclose(given[seed], expected[seed], atol=1e-6)


def test_the_configuration_chooses() -> None:
    assert isinstance(open_inference(InferenceSettings(), MODELS), EmbeddedInference)
    triton = open_inference(InferenceSettings(url="grpc://127.0.0.1:1"), MODELS)
    assert isinstance(triton, TritonInference)
    with pytest.raises(NotReady):
        triton.release(NAME)
    triton.close()
