"""A real Triton server over the same model repository: the same outputs, and a dead one only delays."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from adapters.inference.repository import read_entry
from adapters.inference.tensors import type_name
from adapters.inference.triton import TritonInference
from gateway.errors import NotReady, Permanent, Transient
from gateway.pipeline import Array
from tests.peers.gateway_process import await_that
from tests.peers.triton import Triton
from tests.reading import MODELS

pytestmark = [pytest.mark.peer, pytest.mark.slow]
NAME = "ecg_12lead"
OUTPUT = ("probabilities",)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    work = tmp_path_factory.mktemp("triton")
    shutil.copytree(MODELS, work / "models")
    triton = Triton(work / "models", work)
    try:
        triton.start()
        yield triton
    finally:
        triton.kill()


@pytest.fixture
def inference(server: Triton) -> Iterator[TritonInference]:
    asked = TritonInference(server.address, server.repository, 30)
    yield asked
    asked.close()


def models() -> list[str]:
    return sorted(file.parent.name for file in MODELS.glob("*/config.pbtxt"))


def some_inputs(model: str, batch: int = 3) -> dict[str, Array]:
    """Random values of every input's shape, 64 where a size is left open."""
    random = np.random.default_rng(7)
    config = read_entry(MODELS, model).config
    made: dict[str, Array] = {}
    for tensor in config.input:
        assert type_name(tensor) == "FP32"
        shape = [64 if size == -1 else size for size in tensor.dims]
        first = [min(batch, config.max_batch_size)] if config.max_batch_size else []
        made[tensor.name] = random.normal(0, 0.3, (*first, *shape)).astype(np.float32)
    return made


@pytest.mark.parametrize("model", models())
def test_the_same_inputs_give_the_same_outputs(inference: TritonInference, model: str) -> None:
    embedded = EmbeddedInference(MODELS, 60, 1)
    outputs = tuple(tensor.name for tensor in read_entry(MODELS, model).config.output)
    ours, theirs = (port.infer(model, some_inputs(model), outputs) for port in (embedded, inference))
    for name in outputs:
        np.testing.assert_allclose(theirs[name], ours[name], atol=1e-4)
    assert inference.release(model) == embedded.release(model)


def test_more_than_a_batch(inference: TritonInference) -> None:
    given = {name: np.concatenate([some] * 70) for name, some in some_inputs(NAME, 1).items()}
    embedded = EmbeddedInference(MODELS, 60, 1).infer(NAME, given, OUTPUT)
    np.testing.assert_allclose(inference.infer(NAME, given, OUTPUT)["probabilities"], embedded["probabilities"],
                               atol=1e-4)


def test_wrong_shapes_are_permanent(inference: TritonInference) -> None:
    with pytest.raises(Permanent):
        inference.infer(NAME, {"ecg": np.zeros((1, 11, 1000), np.float32)}, OUTPUT)


def test_a_server_with_another_file_is_not_ready(server: Triton, tmp_path: Path) -> None:
    """Ours has been replaced, with a config that names the new file; the server still has the old one."""
    shutil.copytree(server.repository, tmp_path / "models")
    file = tmp_path / "models" / NAME / "1" / "model.onnx"
    old = read_entry(tmp_path / "models", NAME).parameters["sha256"]
    file.write_bytes(file.read_bytes() + b"\0")
    config = tmp_path / "models" / NAME / "config.pbtxt"
    config.write_text(config.read_text().replace(old, _sha256(file)))
    inference = TritonInference(server.address, tmp_path / "models", 30)
    with pytest.raises(NotReady, match="another file"):
        inference.infer(NAME, some_inputs(NAME), OUTPUT)
    inference.close()


def test_ours_replaced_is_noticed_at_once(server: Triton, tmp_path: Path) -> None:
    """The server's answer is believed for a while, but only about the file that it was asked about."""
    shutil.copytree(server.repository / NAME, tmp_path / NAME)
    inference = TritonInference(server.address, tmp_path, 30)
    old = inference.release(NAME).sha256
    file, config = tmp_path / NAME / "1" / "model.onnx", tmp_path / NAME / "config.pbtxt"
    file.write_bytes(file.read_bytes() + b"\0")
    config.write_text(config.read_text().replace(old, _sha256(file)))
    with pytest.raises(NotReady, match="another file"):
        inference.release(NAME)
    inference.close()


def test_a_file_that_changes_is_hashed_again(server: Triton, tmp_path: Path) -> None:
    shutil.copytree(server.repository / NAME, tmp_path / NAME)
    inference = TritonInference(server.address, tmp_path, 30)
    assert inference.release(NAME) == inference.release(NAME)
    file = tmp_path / NAME / "1" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(NotReady, match="not the one"):
        inference.release(NAME)
    inference.close()


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_model_or_version_the_server_lacks_is_not_ready(server: Triton, tmp_path: Path) -> None:
    shutil.copytree(server.repository / NAME, tmp_path / NAME)
    (tmp_path / NAME / "1").rename(tmp_path / NAME / "2")
    config = tmp_path / NAME / "config.pbtxt"
    config.write_text(config.read_text().replace("versions: 1", "versions: 2"))
    inference = TritonInference(server.address, tmp_path, 30)
    with pytest.raises(NotReady):
        inference.release(NAME)
    inference.close()


def test_a_server_that_hangs_is_transient(server: Triton) -> None:
    inference = TritonInference(server.address, server.repository, 0.5)
    os.mkfifo(server.hold)
    try:
        with pytest.raises(Transient):
            inference.infer(NAME, some_inputs(NAME), OUTPUT)
    finally:
        _let_go(server)
        inference.close()


def _let_go(server: Triton) -> None:
    """Writes to the request that waits; opening returns only once it does wait."""
    server.hold.write_bytes(b"go")
    server.hold.unlink()


def _answer(inference: TritonInference) -> tuple[Array] | None:
    """None while the connection still waits before it is tried again."""
    try:
        return (inference.infer(NAME, some_inputs(NAME), OUTPUT)["probabilities"],)
    except NotReady:
        return None


def _ready(inference: TritonInference) -> bool:
    try:
        return bool(inference.release(NAME))
    except NotReady:
        return False


def test_an_answer_about_a_model_is_believed_for_a_moment_only(server: Triton) -> None:
    inference = TritonInference(server.address, server.repository, 30)
    assert _ready(inference)
    server.kill()
    await_that(lambda: not _ready(inference), 20, "the server is asked again, and is not there")
    server.start()
    await_that(lambda: _ready(inference), 60, "the server that is back is believed")
    inference.close()


def test_a_server_killed_in_the_middle_is_transient_and_works_again_after_a_restart(server: Triton) -> None:
    inference = TritonInference(server.address, server.repository, 30)
    before = inference.infer(NAME, some_inputs(NAME), OUTPUT)["probabilities"]
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            inference.infer(NAME, some_inputs(NAME), OUTPUT)
        except Transient as error:
            caught.append(error)

    os.mkfifo(server.hold)
    asking = threading.Thread(target=ask)
    asking.start()
    descriptor = os.open(server.hold, os.O_WRONLY)  # returns once the server holds the request
    server.hold.unlink()
    server.kill()
    os.close(descriptor)
    asking.join()
    assert len(caught) == 1
    with pytest.raises(Transient):
        inference.infer(NAME, some_inputs(NAME), OUTPUT)
    with pytest.raises(NotReady):  # what it said a moment ago holds no longer
        inference.release(NAME)
    server.start()
    (after,) = await_that(lambda: _answer(inference), 60, "an answer of the server that is back")
    np.testing.assert_array_equal(after, before)
    inference.close()
