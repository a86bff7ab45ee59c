"""Verdict, risk and words from probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Permanent
from gateway.pipeline import Ecg
from gateway.result import ModelRelease, Problem, Provenance, Result, Verdict, WaveformRegion
from pipelines.ecg.beats import find_beats
from pipelines.ecg.delineation import BeforeQrs, Delineation
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import synthesise
from pipelines.ecg.telling import Scores, thresholds_of
from pipelines.ecg_12lead.decision import decide, pooled
from pipelines.ecg_12lead.labels import LABELS, OUTPUTS

THRESHOLDS = dict.fromkeys(OUTPUTS, 0.3) | {"NORM": 0.8, "ANY": 0.1}
ECG = Ecg(np.zeros((12, 5000), dtype=np.float32), 500.0, LEADS, "1.2.3", tuple((1, n) for n in range(1, 13)))
RELEASE = ModelRelease("ecg_12lead", "1.0.0", "0" * 64, False, parameters={
    "labels": ",".join(OUTPUTS), "thresholds": "{" + ",".join(f'"{name}": 0.25' for name in OUTPUTS) + "}"})


WAVES = Delineation(heart_rate=72.0, qrs=96.0, qrs_axis=-38.0, pr=224.4, p_axis=50.0, qt=400.0, t_axis=30.0,
                    quality=1.0, before=BeforeQrs(224.4, 110.0, 0.08, 0.9, 50.0, 0.08))


def told(waves: Delineation | None = WAVES, ecg: Ecg = ECG, **probabilities: float) -> Result:
    given = dict.fromkeys(OUTPUTS, 0.01) | {name.lstrip("_"): p for name, p in probabilities.items()}
    return decide(Scores(given, THRESHOLDS), ecg, waves, None, Provenance("ecg_12lead", "1"))


def test_none_of_the_eleven_and_norm_is_normal() -> None:
    result = told(NORM=0.8)
    assert result.verdict is Verdict.NORMAL
    assert [finding.label for finding in result.findings] == [label.name for label in LABELS]


def test_none_of_the_eleven_without_norm_is_undetermined() -> None:
    result = told(NORM=0.799)
    assert result.verdict is Verdict.UNDETERMINED
    assert [problem.code for problem in result.problems] == ["other-abnormality-not-excluded"]


@pytest.mark.parametrize("label", [label.name for label in LABELS])
def test_any_of_the_eleven_is_pathology_whatever_norm_says(label: str) -> None:
    result = told(NORM=0.99, **{f"_{label}": 0.3})
    assert result.verdict is Verdict.PATHOLOGY
    assert [finding.label for finding in result.findings if finding.present] == [label]
    assert "found-but-looks-normal" in codes(result)


def test_a_finding_of_little_probability_does_not_count_where_the_ecg_as_a_whole_looks_normal() -> None:
    doubtful, sure = told(NORM=0.99, PAC=0.1), told(NORM=0.99, PAC=0.5)
    assert doubtful.verdict is Verdict.NORMAL
    assert {finding.threshold for finding in doubtful.findings} == {0.5}
    assert [finding.label for finding in sure.findings if finding.present] == ["PAC"]
    low = Scores({**dict.fromkeys(OUTPUTS, 0.001), "PAC": 0.1, "NORM": 0.2}, THRESHOLDS | {"PAC": 0.05})
    assert decide(low, ECG, WAVES, None, Provenance("ecg_12lead", "1")).verdict is Verdict.PATHOLOGY


def test_a_threshold_of_the_site_holds_whatever_the_ecg_looks_like() -> None:
    scores = Scores(dict.fromkeys(OUTPUTS, 0.001) | {"PAC": 0.05, "NORM": 0.99}, THRESHOLDS | {"PAC": 0.05})
    site = replace(RELEASE, parameters={**RELEASE.parameters, "site_thresholds": "AFIB 0.2, PAC 0.05"})
    assert decide(scores, ECG, WAVES, None, Provenance("ecg_12lead", "1", (RELEASE,))).verdict is Verdict.NORMAL
    assert decide(scores, ECG, WAVES, None, Provenance("ecg_12lead", "1", (site,))).verdict is Verdict.PATHOLOGY


ORDER = (Verdict.NORMAL, Verdict.UNDETERMINED, Verdict.PATHOLOGY)
SHARES = st.floats(0, 1)


@given(st.lists(SHARES, min_size=12, max_size=12), st.sampled_from(OUTPUTS), SHARES, SHARES)
def test_a_sicker_reading_never_lowers_risk_nor_verdict(values: list[float], changed: str, to: float,
                                                        level: float) -> None:
    one = dict(zip(OUTPUTS, values, strict=True))
    worse = min(one[changed], to) if changed == "NORM" else max(one[changed], to)
    thresholds = THRESHOLDS | {"ANY": level}
    before, after = (decide(Scores(given, thresholds), ECG, WAVES, None, Provenance("ecg_12lead", "1"))
                     for given in (one, {**one, changed: worse}))
    assert after.risk >= before.risk
    assert ORDER.index(after.verdict) >= ORDER.index(before.verdict)
    assert {f.label for f in after.findings if f.present} >= {f.label for f in before.findings if f.present}


@pytest.mark.parametrize(("measured", "text"), [
    ({"qt": 520.0}, "Measured as no normal ECG has it: QTc interval 553 ms."),
    ({"qrs": 128.0}, "Measured as no normal ECG has it: QRS duration 128 ms."),
    ({"t_axis": -150.0}, "Measured as no normal ECG has it: angle between QRS and T axis 112°.")])
def test_what_no_normal_ecg_has_is_never_normal(measured: dict[str, Any], text: str) -> None:
    result = decided({"NORM": 0.99}, replace(WAVES, **measured))
    assert result.verdict is Verdict.UNDETERMINED
    assert (result.problems[0].code, result.problems[0].text) == ("measured-abnormal", text)


def test_exchanged_chest_leads_are_named_and_never_normal() -> None:
    leads = synthesise("normal", 5)
    swapped = leads.copy()
    swapped[[7, 10]] = leads[[10, 7]]
    for signal, verdict, told_of in ((leads, Verdict.NORMAL, []), (swapped, Verdict.UNDETERMINED,
                                     ["Chest leads V2 and V5 seem exchanged"])):
        beats = find_beats(signal, 500.0)
        scores = Scores(dict.fromkeys(OUTPUTS, 0.01) | {"NORM": 0.99}, THRESHOLDS)
        result = decide(scores, ECG, WAVES, beats, Provenance("ecg_12lead", "1"))
        assert result.verdict is verdict
        assert [p.text.split(":")[0] for p in result.problems if p.code == "chest-leads-swapped"] == told_of


def test_a_left_axis_never_outranks_fibrillation() -> None:
    assert told(LAD=0.99).risk == pytest.approx(0.99 * 0.15)
    assert told(LAD=0.99, AFIB=0.5).risk == pytest.approx(0.5 * 0.7)
    assert told(AFIB=0.5).summary.startswith("Atrial fibrillation (probability 0.50).")


def test_present_findings_name_their_channels() -> None:
    result = told(AFIB=0.9)
    afib = next(finding for finding in result.findings if finding.label == "AFIB")
    assert afib.region == WaveformRegion("1.2.3", ((1, 2), (1, 7)))
    assert all(finding.region is None for finding in result.findings if not finding.present)


def test_channels_of_derived_leads_are_not_invented() -> None:
    eight = replace(ECG, leads=("I", "II", *LEADS[6:]), channels=tuple((2, n) for n in range(1, 9)))
    rad = next(finding for finding in told(RAD=0.9, ecg=eight).findings if finding.label == "RAD")
    assert rad.region == WaveformRegion("1.2.3", ((2, 1),))


def test_measurements_and_problems_of_the_source_are_kept() -> None:
    known = Problem("padding", "Some samples were padding.")
    result = told(replace(WAVES, heart_rate=71.6), replace(ECG, problems=(known,)), NORM=0.9)
    assert [(m.code.value, m.value, m.unit.value) for m in result.measurements] == [
        ("8867-4", 72, "{H.B.}/min"), ("8625-6", 224, "ms"), ("8633-0", 96, "ms"), ("8634-8", 400, "ms"),
        ("76635-2", 437, "ms"), ("76634-5", 424, "ms"), ("8626-4", 50, "deg"), ("8632-2", -38, "deg"),
        ("8638-9", 30, "deg"), ("PNORMECG", 0.9, "1")]
    assert result.problems == (known,)


def test_what_cannot_be_measured_is_left_out() -> None:
    assert len(told(None).measurements) == 1
    fibrillating = {m.code.value for m in told(replace(WAVES, pr=None, p_axis=None, qt=None)).measurements}
    assert fibrillating == {"8867-4", "8633-0", "8632-2", "8638-9", "PNORMECG"}


def test_the_summary_tells_the_measurement_that_defines_a_syndrome() -> None:
    assert told(_1AVB=0.9).summary == (
        "First-degree atrioventricular block (probability 0.90, PR 224 ms). Heart rate 72/min.")
    assert "QRS axis -38°" in told(LAD=0.9).summary
    assert told(replace(WAVES, pr=None), _1AVB=0.9).summary.startswith(
        "First-degree atrioventricular block (probability 0.90).")


def test_codes_fit_a_dicom_code_value_and_labels_are_ours_once() -> None:
    assert len({label.code.value for label in LABELS}) == 11
    for code in [label.code for label in LABELS] + [m.code for m in told().measurements]:
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64


def test_long_recordings_count_the_worst_of_what_comes_and_goes() -> None:
    given = np.full((3, 12), 0.1)
    given[1] = 0.9
    result = pooled(given)
    assert result["AFIB"] == result["PVC"] == result["PAC"] == pytest.approx(0.9)
    assert result["CLBBB"] == pytest.approx(1.1 / 3)
    assert result["NORM"] == pytest.approx(0.1)


def test_thresholds_come_with_the_model() -> None:
    assert thresholds_of(RELEASE, OUTPUTS) == dict.fromkeys(OUTPUTS, 0.25)


@pytest.mark.parametrize("change", [{"labels": "A,B"}, {"thresholds": "{}"}, {"thresholds": "no json"},
                                    {"thresholds": "[1]"}])
def test_a_foreign_model_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(Permanent):
        thresholds_of(replace(RELEASE, parameters={**RELEASE.parameters, **change}), OUTPUTS)


def codes(result: Result) -> list[str]:
    return [problem.code for problem in result.problems]


@pytest.mark.parametrize(("label", "measured", "text"), [
    ("SBRAD", {"heart_rate": 72.0}, "Found but not measured: Sinus bradycardia, heart rate 72/min."),
    ("STACH", {"heart_rate": 88.0}, "Found but not measured: Sinus tachycardia, heart rate 88/min."),
    ("1AVB", {"pr": 150.0}, "Found but not measured: First-degree atrioventricular block, PR interval 150 ms."),
    ("LAD", {"qrs_axis": 40.0}, "Found but not measured: Left axis deviation, QRS axis 40°."),
    ("RAD", {"qrs_axis": 10.0}, "Found but not measured: Right axis deviation, QRS axis 10°."),
    ("CLBBB", {"qrs": 90.0}, "Found but not measured: Complete left bundle branch block, QRS duration 90 ms.")])
def test_what_the_measurement_excludes_is_told(label: str, measured: dict[str, Any], text: str) -> None:
    result = decided({label: 0.9}, replace(WAVES, **measured))
    assert result.verdict is Verdict.PATHOLOGY
    assert [(p.code, p.text) for p in result.problems] == [("found-not-measured", text)]


@pytest.mark.parametrize(("label", "measured"), [
    ("SBRAD", {"heart_rate": 44.0}), ("STACH", {"heart_rate": 118.0, "qt": 320.0}), ("1AVB", {"pr": 240.0}),
    ("LAD", {"qrs_axis": -55.0}), ("RAD", {"qrs_axis": 125.0})])
def test_what_was_measured_and_not_found_is_never_normal(label: str, measured: dict[str, Any]) -> None:
    result = decided({"NORM": 0.99}, replace(WAVES, **measured))
    assert result.verdict is Verdict.UNDETERMINED
    assert codes(result) == ["measured-not-found", "other-abnormality-not-excluded"]
    found = decided({label: 0.9}, replace(WAVES, **measured))
    assert codes(found) == []


def test_a_rate_without_p_waves_makes_no_sinus_rhythm() -> None:
    fast = replace(WAVES, heart_rate=130.0, qt=300.0)
    assert codes(decided({"AFIB": 0.9}, fast)) == []
    unsteady = replace(fast, before=replace(WAVES.before, steady=0.2))
    assert decided({"NORM": 0.99}, unsteady).verdict is Verdict.NORMAL


def test_a_syndrome_carries_the_measurement_that_defines_it() -> None:
    found = {f.label: f.measurements for f in decided({"1AVB": 0.9}, WAVES).findings}
    assert [(m.code.value, m.value) for m in found["1AVB"]] == [("8625-6", 224)]
    assert [(m.code.value, m.value) for m in found["SBRAD"]] == [("8867-4", 72)]
    assert found["AFIB"] == ()


def decided(probabilities: dict[str, float], waves: Delineation) -> Result:
    given = dict.fromkeys(OUTPUTS, 0.01) | probabilities
    return decide(Scores(given, THRESHOLDS), ECG, waves, None, Provenance("ecg_12lead", "1"))
