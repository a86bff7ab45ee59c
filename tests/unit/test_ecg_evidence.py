"""Where an ECG's findings are told from: the network's second output, through both readers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.evidence_map import EvidenceTrace, pack, unpack
from gateway.pipeline import Ecg
from pipelines.ecg.evidence import MOST_STEPS, trace_of
from pipelines.ecg.inputs import Inputs, inputs_of
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import synthesise
from pipelines.ecg_1lead import PIPELINE as ONE_LEAD
from pipelines.ecg_12lead import PIPELINE as TWELVE_LEADS
from tests.builders import study
from tests.reading import MODELS, read


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


def recording(signal: Any, leads: tuple[str, ...] = LEADS) -> Ecg:
    return Ecg(signal, 500.0, leads, "1.2", tuple((1, n + 1) for n in range(len(leads))))


def test_left_bundle_branch_block_is_told_from_leads_that_show_it(inference: EmbeddedInference) -> None:
    analysis = read(TWELVE_LEADS, study("ecg"), lambda _: recording(synthesise("lbbb", 4)), inference)
    trace = analysis.evidence
    assert isinstance(trace, EvidenceTrace)
    present = tuple(f.label for f in analysis.result.findings if f.present)
    assert "CLBBB" in present
    assert (trace.labels, trace.leads, trace.values.shape, trace.step) == (
        present, LEADS, (len(present), 12, 50), 0.2)
    assert int(trace.values.max()) == 255
    again = unpack(pack(trace))
    assert isinstance(again, EvidenceTrace)
    assert np.array_equal(again.values, trace.values)


def test_one_lead_has_a_map_of_its_own(inference: EmbeddedInference) -> None:
    analysis = read(ONE_LEAD, study("ecg"), lambda _: recording(synthesise("lbbb", 4)[:1], ("I",)), inference)
    trace = analysis.evidence
    assert isinstance(trace, EvidenceTrace)
    assert trace.leads == ("I",)
    assert trace.values.shape[1:] == (1, 50)


def test_nothing_found_has_no_map(inference: EmbeddedInference) -> None:
    analysis = read(TWELVE_LEADS, study("ecg"), lambda _: recording(synthesise("normal", 10)), inference)
    assert analysis.evidence is None


def looked_at(seconds: float) -> Inputs:
    signal = np.zeros((12, round(seconds * 100)), np.float32)
    return inputs_of(signal, 100.0, lambda _signal, _rate: np.zeros(1, np.float32))


@pytest.mark.parametrize("seconds", [8.0, 10.0, 14.5, 20.0])
def test_what_is_seen_stands_where_it_is_in_recordings_of_any_length(seconds: float) -> None:
    """A network that sees one thing: second 6 in V3, in whatever window that is."""
    inputs = looked_at(seconds)
    evidence = np.zeros((len(inputs.starts), 2, 12, 50), np.float32)
    for number, start in enumerate(inputs.starts):
        if 0 <= 600 - start < 1000:
            evidence[number, 1, LEADS.index("V3"), (600 - start) // 20] = 0.4
    trace = trace_of(evidence, inputs, ("A", "B"), ["B"], LEADS)
    assert trace is not None
    assert trace.values.shape == (1, 12, int(np.ceil(seconds / 0.2)))
    lead, step = np.unravel_index(int(trace.values[0].argmax()), trace.values[0].shape)
    assert LEADS[lead] == "V3"
    assert step * trace.step == pytest.approx(6.0, abs=0.2)
    assert int(trace.values.max()) == 255


def test_maps_without_end_or_label_are_not_kept() -> None:
    inputs = looked_at(10.0)
    evidence = np.full((1, 2, 12, 50), np.nan, np.float32)
    assert trace_of(evidence, inputs, ("A", "B"), [], LEADS) is None
    blank = trace_of(evidence, inputs, ("A", "B"), ["A"], LEADS)
    assert blank is not None
    assert not blank.values.any()
    endless = Inputs(inputs.waves, inputs.features, inputs.starts, (MOST_STEPS + 1) * 20)
    assert trace_of(evidence, endless, ("A", "B"), ["A"], LEADS) is None
