"""The training loop and export: seeded, resumable, and served as it was trained."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import Permanent, Unusable

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch import nn  # noqa: E402

from adapters.inference.embedded import EmbeddedInference  # noqa: E402
from pipelines.learning.export import Release, Signature, write_model  # noqa: E402
from pipelines.learning.training import Plan, Trained, device_of, seed_everything, train  # noqa: E402

pytestmark = pytest.mark.slow

INPUTS = np.random.default_rng(0).normal(size=(96, 4)).astype(np.float32)
TRUTH = (INPUTS[:, 0] > 0).astype(np.float32)


class Small(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.body(x))


def batches(random: np.random.Generator) -> Iterable[Any]:
    order = random.permutation(96)
    for start in range(0, 96, 24):
        chosen = order[start:start + 24]
        yield INPUTS[chosen] + random.normal(0, 0.1, (24, 4)).astype(np.float32), TRUTH[chosen]


def loss(network: Any, batch: Any) -> Any:
    return nn.functional.binary_cross_entropy(network(torch.from_numpy(batch[0]))[:, 0], torch.from_numpy(batch[1]))


def figures(network: Any) -> Mapping[str, float]:
    told = network(torch.from_numpy(INPUTS))[:, 0].numpy()
    return {"right": float(((told > 0.5) == TRUTH).mean())}


def trained(folder: Path | None = None, *, resume: bool = False, stop_in: int = 0, **plan: Any) -> Trained:
    """`stop_in`: the epoch in the middle of which the machine goes off."""
    begun: list[int] = []

    def some(random: np.random.Generator) -> Iterable[Any]:
        begun.append(1)
        for number, batch in enumerate(batches(random)):
            if len(begun) == stop_in and number == 2:
                raise KeyboardInterrupt
            yield batch

    seed_everything(5)
    return train(Small(), Plan(**{"epochs": 5, "steps": 4, "seed": 5, "averaging": 0.5, "best": "right"} | plan), some,
                 loss, figures=figures, folder=folder, resume=resume)


def test_what_is_interrupted_and_taken_up_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "part", stop_in=3)
    again = trained(tmp_path / "part", resume=True)
    for one, two in zip(whole.history, again.history, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in two.items() if k != "seconds"}
    assert whole.epoch == again.epoch
    for one, two in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, two)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]


def test_every_epoch_is_logged_and_the_best_one_is_kept(tmp_path: Path) -> None:
    told = trained(tmp_path)
    lines = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(float(line["epoch"])) for line in lines] == [1, 2, 3, 4, 5]
    best = max(line["right"] for line in told.history)
    assert told.figures["right"] == best
    with torch.no_grad():
        assert figures(told.network)["right"] == pytest.approx(best)


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1)
    for other in ({"epochs": 2}, {"epochs": 1, "data": "others"}):
        with pytest.raises(Unusable, match="--resume"):
            trained(tmp_path, resume=True, **other)
    assert trained(tmp_path, resume=True, epochs=1).epoch == 1


def test_what_cannot_be_learnt_from_is_told() -> None:
    with pytest.raises(Unusable, match="no longer a number"):
        train(Small(), Plan(1, 1), lambda _: [0], lambda network, _: network(torch.full((2, 4), float("nan"))).sum())
    if not torch.cuda.is_available():
        assert device_of("auto") == "cpu"
        with pytest.raises(Unusable, match="no CUDA device"):
            device_of("cuda")


RELEASE = Release("1.0", "demonstration: small", ("A", "B"), {"A": 0.5, "B": 0.25}, {"scale": 2}, {"seed": 5},
                  demonstration=True)
SHAPES = Signature({"x": (4,)}, {"probabilities": (2,)}, "probabilities")


def test_an_exported_model_is_served_and_tells_how_it_was_made(tmp_path: Path) -> None:
    import onnx

    network = Small().eval()
    sha256 = write_model(network, SHAPES, RELEASE, tmp_path / "small", [INPUTS[:8]])
    inference = EmbeddedInference(tmp_path, 30, 1)
    release = inference.release("small")
    assert (release.sha256, release.version, release.demonstration) == (sha256, "1.0", True)
    assert json.loads(release.parameters["thresholds"]) == {"A": 0.5, "B": 0.25}
    file = tmp_path / "small" / "1" / "model.onnx"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    within = {prop.key: prop.value for prop in onnx.load(file).metadata_props}
    assert within == {key: value for key, value in release.parameters.items() if key != "sha256"}
    assert (json.loads(within["preprocessing"]), json.loads(within["training"])) == ({"scale": 2}, {"seed": 5})
    with torch.no_grad():
        expected = network(torch.from_numpy(INPUTS)).numpy()
    given_back = inference.infer("small", {"x": INPUTS}, ("probabilities",))["probabilities"]
    np.testing.assert_allclose(given_back, expected, atol=1e-5)
    assert write_model(network, SHAPES, RELEASE, tmp_path / "again" / "small", [INPUTS[:8]]) == sha256


def test_a_graph_that_says_something_else_is_not_written(tmp_path: Path) -> None:
    class Moody(Small):
        def forward(self, x: Any) -> Any:
            return super().forward(x) + (0.0 if torch.compiler.is_exporting() else 0.01)

    with pytest.raises(Permanent, match="differs"):
        write_model(Moody().eval(), SHAPES, RELEASE, tmp_path / "moody", [INPUTS[:8]])
    assert not (tmp_path / "moody").exists()
