"""One lead alone, as a watch or a patch records it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.evidence_map import EvidenceTrace
from gateway.pipeline import Ecg, EcgSheet, Floats
from gateway.result import Provenance, Result, Verdict
from gateway.study import Instance
from pipelines.ecg.delineation import Delineation, delineate
from pipelines.ecg.labels import NORM
from pipelines.ecg.synthetic import synthesise
from pipelines.ecg.telling import Scores
from pipelines.ecg_1lead import PIPELINE
from pipelines.ecg_1lead.decision import decide, pooled
from pipelines.ecg_1lead.labels import LABELS, NAMES, OUTPUTS
from pipelines.ecg_1lead.synthetic import samples
from tests.builders import study
from tests.reading import MODELS, read


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 30, 1)


def lead(signal: Floats, rate: float = 500.0, names: tuple[str, ...] = ("I",)) -> Callable[[Any], Ecg]:
    def load(instances: tuple[Instance, ...]) -> Ecg:
        channels = tuple((1, n + 1) for n in range(len(names)))
        return Ecg(signal, rate, names, instances[0].sop_instance_uid, channels)

    return load


@pytest.mark.parametrize(("kind", "label"), [("normal", ""), ("afib", "AFIB"), ("lbbb", "CLBBB")])
@pytest.mark.parametrize("rate", [100.0, 250.0, 500.0])
def test_lead_one_alone_is_read_as_what_it_is(inference: EmbeddedInference, kind: str, label: str,
                                              rate: float) -> None:
    signal = synthesise(kind, 11)[:1, ::round(500 / rate)]
    analysis = read(PIPELINE, study("ecg"), lead(signal, rate), inference)
    present = [finding.label for finding in analysis.result.findings if finding.present]
    assert label in present if label else not present
    assert [finding.label for finding in analysis.result.findings] == list(NAMES)
    assert isinstance(analysis.picture, EcgSheet)
    told = {measurement.code.value: measurement.value for measurement in analysis.result.measurements}
    assert told["8637-1"] == pytest.approx(60_000 / told["8867-4"], rel=0.02)
    assert told["RRMIN"] <= told["8637-1"] <= told["RRMAX"]


def test_two_minutes_are_read_in_windows_and_drawn_in_lines(inference: EmbeddedInference) -> None:
    long = np.tile(synthesise("afib", 11)[:1], (1, 12))
    analysis = read(PIPELINE, study("ecg"), lead(long), inference)
    assert next(f for f in analysis.result.findings if f.label == "AFIB").present
    assert isinstance(analysis.picture, EcgSheet)
    assert analysis.picture.leads[:2] == ("I", "I, 10 s")
    assert analysis.picture.signal.shape == (6, 5000)
    assert isinstance(analysis.evidence, EvidenceTrace)
    assert analysis.evidence.values.shape[2] == 600


def test_of_twelve_leads_it_reads_the_first(inference: EmbeddedInference) -> None:
    twelve = synthesise("lbbb", 4)
    names = ("V1", "I", "II")
    one = read(PIPELINE, study("ecg"), lead(twelve[:1]), inference).result
    other = read(PIPELINE, study("ecg"), lead(twelve[[6, 0, 1]], names=names), inference).result
    assert [f.probability for f in other.findings] == [f.probability for f in one.findings]


def test_without_lead_one_among_several_nothing_is_read(inference: EmbeddedInference) -> None:
    result = read(PIPELINE, study("ecg"), lead(synthesise("normal", 1)[6:8], names=("V1", "V2")), inference).result
    assert [problem.code for problem in result.problems] == ["missing-leads"]


@pytest.mark.parametrize(("spoil", "code"), [
    (lambda x: x[:, :2500], "too-short"), (lambda x: x * 0, "flat-leads"), (lambda x: x * 1000, "wrong-gain"),
    (lambda x: np.clip(x, -0.2, 0.2), "saturated"), (lambda x: x * np.nan, "missing-samples"),
    (lambda x: x + 0.3 * np.sin(2 * np.pi * 50 * np.arange(5000) / 500), "mains-hum"),
    (lambda x: np.random.default_rng(0).normal(0, 0.04, x.shape), "no-heartbeat")])
def test_each_gate_names_its_reason(inference: EmbeddedInference, spoil: Callable[[Floats], Floats],
                                    code: str) -> None:
    spoilt = spoil(synthesise("normal", 1)[:1]).astype(np.float32)
    result = read(PIPELINE, study("ecg"), lead(spoilt), inference).result
    assert result.verdict is Verdict.UNDETERMINED
    assert code in [problem.code for problem in result.problems]


def test_premature_beats_count_where_they_are_and_fibrillation_by_its_mean() -> None:
    given = np.full((4, 6), 0.1)
    given[2] = 0.9
    assert pooled(given)["PVC"] == pytest.approx(0.9)
    assert pooled(given)["AFIB"] == pytest.approx(0.3)
    assert pooled(given)[NORM] == pytest.approx(0.1)


def decided(waves: Delineation | None = None, name: str = "I", **probabilities: float) -> Result:
    given = dict.fromkeys(OUTPUTS, 0.01) | probabilities
    ecg = Ecg(np.zeros((1, 5000), np.float32), 500.0, (name,), "1.2.3", ((1, 1),))
    return decide(Scores(given, dict.fromkeys(OUTPUTS, 0.3) | {NORM: 0.8, "ANY": 0.1}), ecg, waves, None,
                  Provenance("ecg_1lead", "1"))


def test_none_of_the_five_is_normal_only_where_the_whole_looks_normal() -> None:
    normal, other = decided(NORM=0.8), decided(NORM=0.799)
    assert normal.verdict is Verdict.NORMAL
    assert [problem.code for problem in normal.problems] == ["one-lead-only"]
    assert other.verdict is Verdict.UNDETERMINED
    assert [problem.code for problem in other.problems] == ["other-abnormality-not-excluded", "one-lead-only"]
    assert other.summary == "None of the 5 syndromes found in lead I, another abnormality is not excluded."
    assert [(m.code.value, m.value) for m in other.measurements] == [("PNORMECG", 0.799)]


def test_another_lead_than_the_first_is_never_normal_and_told() -> None:
    second, unnamed = decided(name="II", NORM=0.9), decided(name="ECG", NORM=0.9)
    assert (second.verdict, unnamed.verdict) == (Verdict.UNDETERMINED, Verdict.NORMAL)
    assert [problem.code for problem in second.problems] == ["other-lead"]
    assert "Lead II was read" in second.problems[0].text
    assert decided(name="II", AFIB=0.9).verdict is Verdict.PATHOLOGY


def test_a_wide_qrs_is_never_normal_and_a_finding_always_counts() -> None:
    wide = delineate(synthesise("lbbb", 4)[:1], 500.0)
    assert wide is not None
    assert decided(wide, NORM=0.99).verdict is Verdict.UNDETERMINED
    found = decided(wide, NORM=0.99, CLBBB=0.6)
    assert found.verdict is Verdict.PATHOLOGY
    assert "found-but-looks-normal" in [problem.code for problem in found.problems]


def test_the_demonstration_shows_fibrillation_on_a_watch(inference: EmbeddedInference) -> None:
    (sample,) = samples()
    result = read(PIPELINE, study("ecg"), lead(sample.signal, sample.rate, sample.leads), inference).result
    assert result.verdict == sample.verdict
    assert sample.label in [finding.label for finding in result.findings if finding.present]


def test_labels_stand_in_the_order_of_the_outputs() -> None:
    assert (*(label.name for label in LABELS), NORM) == OUTPUTS
    assert all(label.leads == ("I",) for label in LABELS)


def test_the_object_with_one_channel_is_chosen() -> None:
    base = study("ecg", instances=2)
    told = [{**i.tags, "NumberOfWaveformChannels": n} for i, n in zip(base.instances, (12, 1), strict=True)]
    instances = tuple(replace(i, tags=tags) for i, tags in zip(base.instances, told, strict=True))
    of = replace(base, series=(replace(base.series[0], instances=instances),))
    assert PIPELINE.select(of).instances == (instances[1],)
