"""Where an ECG's findings are told from, by the served model; only the models that made the result are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import NotReady
from gateway.evidence_map import EvidenceTrace
from gateway.evidence_mapper import EvidenceMapper
from gateway.pipeline import Array, Ecg
from gateway.reading import Fulfilment, drive
from gateway.result import ModelRelease
from gateway.viewing import CaseSources
from pipelines.ecg.leads import LEADS
from pipelines.ecg_12lead import PIPELINE, synthetic
from pipelines.ecg_12lead.evidence import MOST_WINDOWS, strength, with_gaps
from pipelines.ecg_12lead.labels import OUTPUTS
from tests.reading import MODELS

SAMPLES = {sample.name: sample for sample in synthetic.samples()}


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


def recording(name: str = "lbbb", **changes: Any) -> Ecg:
    sample = SAMPLES[name]
    made = Ecg(sample.signal, sample.rate, tuple(sample.leads), "1.2", tuple((1, n + 1) for n in range(12)))
    return replace(made, **changes)


def mapped(inference: Any, ecg: Ecg, labels: tuple[str, ...] = ("CLBBB",)) -> EvidenceTrace | None:
    return drive(PIPELINE.evidence_of(ecg, labels), Fulfilment(None, inference))  # type: ignore[arg-type]


def test_left_bundle_branch_block_is_told_from_the_chest_leads(inference: EmbeddedInference) -> None:
    trace = mapped(inference, recording(), ("CLBBB", "nonsense"))
    assert trace is not None
    assert (trace.labels, trace.leads, trace.values.shape, trace.step) == (("CLBBB",), LEADS, (1, 12, 20), 0.5)
    assert LEADS[int(trace.values[0].max(1).argmax())] == "V1"
    assert int(trace.values.max()) == 255


def test_what_cannot_be_mapped_has_no_map(inference: EmbeddedInference) -> None:
    ecg = recording()
    longer = np.tile(ecg.signal, MOST_WINDOWS + 1)
    assert mapped(inference, replace(ecg, signal=longer)) is None
    assert mapped(inference, replace(ecg, signal=ecg.signal[:6], leads=LEADS[:6])) is None
    assert mapped(inference, ecg, ()) is None


@pytest.mark.parametrize("seconds", [8.0, 10.0, 14.5, 20.0])
def test_a_loss_stands_where_it_is_in_recordings_of_any_length(seconds: float) -> None:
    """A model that looks for one thing only: whatever is at second 6 in V3."""
    class Looks:
        def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
            there = np.abs(inputs["ecg"][:, LEADS.index("V3")]).max(axis=1) > 1
            return {"probabilities": np.where(there[:, None], 0.9, 0.1).repeat(len(OUTPUTS), axis=1)}

    signal = np.random.default_rng(1).normal(0, 0.01, (12, round(seconds * 500))).astype(np.float32)
    signal[LEADS.index("V3"), 3060:3080] += 3.0
    trace = mapped(Looks(), recording(signal=signal, rate=500.0))
    assert trace is not None
    lead, step = np.unravel_index(int(trace.values[0].argmax()), trace.values[0].shape)
    assert (LEADS[lead], step * trace.step) == ("V3", 6.0)
    assert trace.values.shape[2] == int(np.ceil(seconds / 0.5))


def test_no_loss_is_no_evidence() -> None:
    assert not strength(np.full((33, 12), 0.4, np.float32)).any()
    gaps = with_gaps(np.ones((12, 1000), np.float32))
    assert gaps[0].all()
    assert not gaps[1, 0].any()
    assert gaps[1, 1:].all()
    assert not gaps[13, :, :50].any()


class Released:
    """Inference that has one release to tell of."""

    def __init__(self, real: EmbeddedInference, sha256: str = "", down: bool = False) -> None:
        self.real, self.sha256, self.down = real, sha256, down

    def release(self, model: str) -> ModelRelease:
        if self.down:
            raise NotReady("The model is not loaded.")
        return replace(self.real.release(model), sha256=self.sha256 or self.real.release(model).sha256)

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        return self.real.infer(model, inputs, outputs)


@pytest.mark.parametrize(("released", "changes", "there"), [
    ({}, {}, True), ({"sha256": "other"}, {}, False), ({"down": True}, {}, False), ({}, {"findings": ()}, False),
    ({}, {"provenance": {}}, False)])
def test_only_the_models_that_made_the_result_are_asked(inference: EmbeddedInference, released: dict[str, Any],
                                                        changes: dict[str, Any], there: bool) -> None:
    model = inference.release("ecg_12lead")
    told = ({"label": "CLBBB", "present": True}, {"label": "AFIB", "present": False})
    found = CaseSources("r", (), (), told, provenance={
        "pipeline": "ecg_12lead", "models": [{"name": "ecg_12lead", "sha256": model.sha256}]})
    asked = Released(inference, **released)
    mapper = EvidenceMapper({"ecg_12lead": PIPELINE}, Fulfilment(None, asked), asked)  # type: ignore[arg-type]
    trace = mapper.map(replace(found, **changes), recording())
    assert (trace is not None) == there
    assert trace is None or trace.labels == ("CLBBB",)
