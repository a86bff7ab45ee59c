"""The whole reading of synthetic ECGs with the model of the repository, and which object is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.pipeline import Ecg, EcgSheet
from gateway.result import Verdict
from gateway.study import Instance, Series, Study
from pipelines.ecg.synthetic import Sample
from pipelines.ecg_12lead import PIPELINE
from pipelines.ecg_12lead.synthetic import samples
from tests.builders import study
from tests.reading import MODELS, read

GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.2"


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 30, 1)


def as_ecg(sample: Sample, **changes: Any) -> Callable[[tuple[Instance, ...]], Ecg]:
    def load(instances: tuple[Instance, ...]) -> Ecg:
        ecg = Ecg(sample.signal, sample.rate, sample.leads, instances[0].sop_instance_uid,
                  tuple((1, n) for n in range(1, 13)))
        return replace(ecg, **changes)

    return load


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)
def test_synthetic_ecgs_are_read_as_what_they_are(sample: Sample, inference: EmbeddedInference) -> None:
    of = study("ecg")
    analysis = read(PIPELINE, of, as_ecg(sample), inference)
    assert analysis.result.verdict == sample.verdict
    present = [finding.label for finding in analysis.result.findings if finding.present]
    assert sample.label in present if sample.label else not present
    assert analysis.result.evidence == (of.instances[0].sop_instance_uid,)
    assert isinstance(analysis.picture, EcgSheet)


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)
def test_other_rates_and_lead_orders_change_nothing(sample: Sample, inference: EmbeddedInference) -> None:
    usual = read(PIPELINE, study("ecg"), as_ecg(sample), inference).result
    slow = as_ecg(sample, signal=sample.signal[::-1, ::2].copy(), rate=250.0, leads=sample.leads[::-1])
    other = read(PIPELINE, study("ecg"), slow, inference).result
    assert other.verdict is usual.verdict
    assert [f.present for f in other.findings] == [f.present for f in usual.findings]


def test_half_a_minute_is_read_in_windows(inference: EmbeddedInference) -> None:
    sample = samples()[1]
    long = as_ecg(sample, signal=np.tile(sample.signal, (1, 3)))
    result = read(PIPELINE, study("ecg"), long, inference).result
    assert next(f for f in result.findings if f.label == "AFIB").present


def test_what_is_not_fit_is_undetermined_and_never_infers() -> None:
    class NoModel:
        def infer(self, *_: object) -> dict[str, Any]:
            raise AssertionError("nothing should be inferred")

    normal = samples()[0]
    flat = normal.signal.copy()
    flat[2:4] = 0
    result = read(PIPELINE, study("ecg"), as_ecg(normal, signal=flat), NoModel(), ()).result  # type: ignore[arg-type]
    assert result.verdict is Verdict.UNDETERMINED
    assert [problem.code for problem in result.problems] == ["flat-leads"]
    assert "III, aVR" in result.summary
    assert result.risk == 0


def test_a_model_that_gives_no_numbers_is_undetermined() -> None:
    class Broken:
        def infer(self, *_: object) -> dict[str, Any]:
            return {"probabilities": np.full((1, 12), np.nan, dtype=np.float32),
                    "evidence": np.zeros((1, 12, 12, 50), dtype=np.float32)}

    release = EmbeddedInference(MODELS, 30, 1).release("ecg_12lead")
    result = read(PIPELINE, study("ecg"), as_ecg(samples()[0]), Broken(), (release,)).result  # type: ignore[arg-type]
    assert [problem.code for problem in result.problems] == ["invalid-model-output"]


def with_instances(*changes: dict[str, Any]) -> Study:
    """An ECG study of one object for each change; `tags` are merged."""
    base = study("ecg", instances=len(changes))
    changed = tuple(replace(i, **{**change, "tags": {**i.tags, **change.get("tags", {})}})
                    for i, change in zip(base.instances, changes, strict=True))
    return replace(base, series=(Series(base.series[0].series_instance_uid, "ECG", changed),))


def test_the_newest_is_read() -> None:
    of = with_instances({"tags": {"AcquisitionDateTime": "20260314101500"}},
                        {"tags": {"AcquisitionDateTime": "20260314113000"}, "sop_class_uid": GENERAL},
                        {"tags": {"AcquisitionDateTime": "20260314090000"}})
    selection = PIPELINE.select(of)
    assert selection.instances == (of.instances[1],)
    assert selection.note == "newest of 3: General ECG Waveform Storage"


def test_of_equally_new_ones_the_longest() -> None:
    def lasting(samples: int) -> dict[str, Any]:
        return {"tags": {"NumberOfWaveformSamples": samples, "SamplingFrequency": 500}}

    of = with_instances(lasting(5000), lasting(15000), lasting(2500))
    assert PIPELINE.select(of).instances == (of.instances[1],)


def test_only_resting_ecg_waveforms_are_taken() -> None:
    of = with_instances({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.104.1"})
    selection = PIPELINE.select(of)
    assert selection.instances == ()
    assert [problem.code for problem in selection.problems] == ["no-ecg"]
