"""Infarction and its site: signs, windows of any length, both stages, gates, what the result says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Unusable
from gateway.evidence_map import EvidenceTrace
from gateway.pipeline import Array, Ecg, EcgSheet, Floats
from gateway.result import Finding, ModelRelease, Provenance, Result, Verdict
from gateway.translation import translated
from pipelines.ecg.beats import find_beats
from pipelines.ecg.leads import LEADS
from pipelines.ecg.memory import Memory, joined
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.synthetic import synthesise
from pipelines.ecg.telling import Scores
from pipelines.ecg_mi import decision
from pipelines.ecg_mi.labels import SITES
from pipelines.ecg_mi.marks import marks, q_leads
from pipelines.ecg_mi.reader import EcgMi, sites_of
from pipelines.ecg_mi.sections import FEATURES, INFARCTION, SECTION, SITE, Windows, sections_of
from pipelines.ecg_mi.signs import SHAPE, Signs, signs_of
from pipelines.ecg_mi.synthetic import samples
from pipelines.ecg_mi.truth import infarction, known_sites, site
from pipelines.ecg_mi.truth import told as truth_told
from pipelines.ecg_mi.words import WORDS
from tests.builders import study
from tests.reading import MODELS, read

PIPELINE = EcgMi()
TRAINED = ("inferior", "anteroseptal", "anterior", "anterolateral", "lateral")
MODELS_OF = ("ecg_mi_infarction", "ecg_mi_site")


def released(name: str, labels: tuple[str, ...], level: float = 0.5) -> ModelRelease:
    told = {"labels": ",".join(labels), "thresholds": json.dumps(dict.fromkeys(labels, level))}
    return ModelRelease(name, "1.0.0", "0" * 64, False, "test", told)


RELEASES = (released(MODELS_OF[0], ("MI",)), released(MODELS_OF[1], TRAINED))


class Saying:
    """Both stages answer the same for every section: probabilities by label."""

    def __init__(self, **told: float) -> None:
        self.told, self.asked = told, list[Mapping[str, Array]]()

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        self.asked.append(inputs)
        labels = ("MI",) if model == MODELS_OF[0] else TRAINED
        row = np.array([self.told.get(label, 0.0) for label in labels], np.float32)
        count = len(inputs["ecg"])
        evidence = np.ones((count, len(labels), 12, 50), np.float32)
        return {"probabilities": np.tile(row, (count, 1)), "evidence": evidence}


def ecg(signal: Floats, rate: float = 500.0, leads: tuple[str, ...] = LEADS) -> Callable[[Any], Ecg]:
    def load(instances: Any) -> Ecg:
        return Ecg(signal, rate, leads, instances[0].sop_instance_uid, tuple((1, n + 1) for n in range(len(leads))))

    return load


def told(signal: Floats, rate: float = 500.0, **probabilities: float) -> Result:
    said: Any = Saying(**probabilities)
    result: Result = read(PIPELINE, study("ecg"), ecg(signal, rate), said, RELEASES).result
    return result


def row(**codes: float) -> Row:
    return Row("1", "p1", 1, Path("1"), codes, "", {})


def signs(kind: str, seed: int = 1) -> Signs:
    beats = find_beats(synthesise(kind, seed), 500.0)
    assert beats is not None
    return signs_of(beats)


# ------------------------------------------------------------ truth


def test_a_statement_counts_whatever_its_likelihood() -> None:
    assert infarction({"IMI": 0.0, "SR": 0.0}) == 1
    assert infarction({"INJAS": 100.0, "NORM": 0.0, "QWAVE": 100.0}) == 0
    assert infarction({"PMI": 100.0}) == 1


@pytest.mark.parametrize(("code", "sites"), [
    ("IMI", {"inferior"}), ("ILMI", {"inferior", "lateral"}), ("IPLMI", {"inferior"}), ("IPMI", {"inferior"}),
    ("ASMI", {"anteroseptal"}), ("AMI", {"anterior"}), ("ALMI", {"anterolateral", "lateral"}), ("LMI", {"lateral"}),
    ("PMI", set())])
def test_each_statement_names_its_sites(code: str, sites: set[str]) -> None:
    assert {label.name for label in SITES if site(label.name, {code: 50.0})} == sites


def test_a_site_without_positives_is_not_learned() -> None:
    assert known_sites([row(ILMI=100.0), row(NORM=100.0)]) == ("inferior", "lateral")
    assert "septal" not in known_sites([row(**{code: 1.0}) for code in ("IMI", "ASMI", "AMI", "ALMI", "LMI")])
    own = Row("1", "p1", 1, Path("1.npy"), {}, "", {}, {"MI": 1.0, "septal": 1.0})
    assert known_sites([own]) == ("septal",)
    assert truth_told(own, ("MI", "septal", "inferior")).tolist() == pytest.approx([1, 1, np.nan], nan_ok=True)


# ------------------------------------------------------------ signs


def test_an_inferior_infarction_leaves_its_signs_in_the_inferior_leads() -> None:
    infarct, normal = signs("inferior"), signs("normal")
    assert q_leads(infarct) == ("II", "III", "aVF")
    assert q_leads(normal) == ()
    for lead in ("II", "III", "aVF"):
        assert infarct.of(lead, "q_ms") >= 30
        assert infarct.of(lead, "q_mv") > 0.2
        assert infarct.of(lead, "t_lowest") < -0.1 < normal.of(lead, "t_lowest")
        assert normal.of(lead, "q_mv") < 0.1
    assert normal.of("V1", "r_mv") < normal.of("V3", "r_mv") < normal.of("V5", "r_mv") * 1.5


def test_the_report_names_lead_amount_and_unit() -> None:
    found = {m.code.value: (m.value, m.unit.value) for m in marks(signs("inferior"))}
    assert found["QDUR-III"][0] >= 30
    assert found["QDUR-III"][1] == "ms"
    assert found["Q-aVF"][0] < -0.2
    assert found["TINV-aVF"][0] < -0.1
    assert found["TINV-aVF"][1] == "mV"
    assert {"R-V1", "R-V2", "R-V3", "R-V4"} <= found.keys()
    assert {code[0] for code in {m.code.value for m in marks(signs("normal"))}} == {"R"}
    assert marks(None) == ()


def test_a_qs_complex_is_all_q() -> None:
    block = signs("lbbb")
    assert block.of("V1", "q_share") > 0.8
    assert block.of("V1", "q_ms") > 100


# ------------------------------------------------------------ sections and windows


def test_ten_seconds_have_the_windows_of_the_published_solution() -> None:
    assert (INFARCTION.length, INFARCTION.step, INFARCTION.count) == (800, 100, 43)
    assert (SITE.length, SITE.step, SITE.count) == (700, 50, 87)
    assert INFARCTION.weights(0, SECTION) == pytest.approx(np.full(43, 1 / 43))


def test_windows_outside_what_was_recorded_do_not_count() -> None:
    weights = INFARCTION.weights(1875, 3125)
    assert weights.sum() == pytest.approx(1)
    begin = 100 * np.arange(43)
    assert set(np.flatnonzero(weights)) == set(np.flatnonzero((begin >= 1875) & (begin + 800 <= 3125)))
    assert np.flatnonzero(Windows(800, 100).weights(2000, 2500)).tolist() == [18]


@pytest.mark.parametrize(("seconds", "count", "rate"), [
    (2.5, 1, 250), (2.5, 1, 1000), (7, 1, 250), (10, 1, 1000), (10.5, 1, 250), (14, 2, 1000), (300, 30, 250)])
def test_recordings_of_any_length_are_cut_into_sections(seconds: float, count: int, rate: int) -> None:
    signal = np.tile(synthesise("inferior", 1), (1, 31))[:, :round(seconds * 500)]
    signal = signal[:, ::2] if rate == 250 else np.repeat(signal, 2, axis=1)
    made = sections_of(signal, rate)
    assert made.ecg.shape == (count, 12, SECTION)
    assert made.beat.shape == (count, 12, SHAPE)
    assert made.features.shape == (count, len(FEATURES))
    assert len(made.starts) == len(made.spans) == count
    assert abs(made.samples - 100 * seconds) <= 1
    first, stop = made.spans[0]
    assert stop - first == pytest.approx(min(seconds, 10) * 500, abs=2)
    assert not made.ecg[0, :, :first].any()
    assert not made.ecg[0, :, stop:].any()
    for windows in (INFARCTION, SITE):
        given = made.given(windows)
        assert given["weights"].shape == (count, windows.count)
        assert given["weights"].sum(axis=1) == pytest.approx(np.ones(count), abs=1e-5)
        assert all(array.dtype == np.float32 for array in given.values())


def test_every_rate_gives_the_same_sections() -> None:
    signal = synthesise("inferior", 2)
    usual, slow = sections_of(signal, 500.0), sections_of(signal[:, ::2], 250.0)
    assert np.abs(usual.ecg - slow.ecg).mean() < 0.01
    known = ~np.isnan(usual.features) & ~np.isnan(slow.features)
    assert np.corrcoef(usual.features[known], slow.features[known])[0, 1] > 0.99


# ------------------------------------------------------------ what is said


def present(result: Result) -> list[str]:
    return [finding.label for finding in result.findings if finding.present]


def test_sites_are_findings_only_with_an_infarction() -> None:
    signal = synthesise("inferior", 1)
    without = told(signal, MI=0.4, inferior=0.9)
    assert without.verdict is Verdict.NORMAL
    assert [finding.label for finding in without.findings] == ["MI"]
    found = told(signal, MI=0.9, inferior=0.9, lateral=0.2)
    assert found.verdict is Verdict.PATHOLOGY
    assert [finding.label for finding in found.findings] == ["MI", *TRAINED]
    assert present(found) == ["MI", "inferior"]
    assert found.risk == pytest.approx(0.81)
    assert found.summary.startswith("Myocardial infarction (probability 0.90); Inferior infarction")
    assert "Q waves in II, III, aVF." in found.summary


def test_an_infarction_without_a_site_says_so() -> None:
    result = told(synthesise("normal", 1), MI=0.6)
    assert present(result) == ["MI"]
    assert "Its site cannot be told." in result.summary


@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_a_site_that_was_never_trained_is_declared_and_is_no_zero(probability: float) -> None:
    result = told(synthesise("normal", 1), MI=probability)
    assert "septal" not in {finding.label for finding in result.findings}
    assert [p.text for p in result.problems if p.code == "site-not-trained"] == [
        "Not trained, so nothing is said of it: Septal infarction, new or old."]
    refused = told(synthesise("normal", 1)[:, :1000], MI=probability)
    assert refused.verdict is Verdict.UNDETERMINED
    assert [p.code for p in refused.problems] == ["too-short", "site-not-trained"]


def test_normal_means_no_infarction_and_no_more() -> None:
    result = told(synthesise("normal", 1), MI=0.1)
    assert result.verdict is Verdict.NORMAL
    assert result.summary.startswith("No sign of infarction found; nothing else was looked for.")
    assert "infarction-only" in [problem.code for problem in result.problems]


def test_a_wide_qrs_makes_it_less_reliable() -> None:
    assert "wide-qrs" in [p.code for p in told(synthesise("lbbb", 1), MI=0.1).problems]
    assert "wide-qrs" not in [p.code for p in told(synthesise("normal", 1), MI=0.1).problems]


def test_evidence_is_laid_over_the_recording() -> None:
    said: Any = Saying(MI=0.9, inferior=0.8)
    analysis = read(PIPELINE, study("ecg"), ecg(np.tile(synthesise("inferior", 1), (1, 2))), said, RELEASES)
    assert isinstance(analysis.picture, EcgSheet)
    assert isinstance(analysis.evidence, EvidenceTrace)
    assert analysis.evidence.labels == ("MI", "inferior")
    assert analysis.evidence.values.shape == (2, 12, 100)
    assert [len(asked["ecg"]) for asked in said.asked] == [2, 2]


def test_the_regions_are_the_leads_of_the_site() -> None:
    by_label = {f.label: f for f in told(synthesise("inferior", 1), MI=0.9, inferior=0.9).findings}
    region: Any = by_label["inferior"].region
    assert region.channels == ((1, 2), (1, 3), (1, 6))
    assert by_label["lateral"].region is None


def test_everything_is_said_in_russian() -> None:
    result = told(synthesise("inferior", 1), MI=0.9, **dict.fromkeys(TRAINED, 0.9))
    russian = translated(result, WORDS["ru"], "ru")
    texts = [*(f.display for f in russian.findings), *(p.text for p in russian.problems),
             *(m.name for m in russian.measurements)]
    plain = [text for text in texts if not any("а" <= letter <= "я" for letter in text.lower())]
    assert not plain
    assert "Q в III" in " ".join(texts)


# ------------------------------------------------------------ gates


@pytest.mark.parametrize(("spoil", "code"), [
    (lambda x: x[:, :1200], "too-short"), (lambda x: np.where(np.arange(12)[:, None] == 7, 0, x), "flat-leads"),
    (lambda x: x * 1000, "wrong-gain"), (lambda x: np.clip(x, -0.2, 0.2), "saturated"),
    (lambda x: np.where(np.arange(12)[:, None] == 7, np.nan, x), "missing-samples"),
    (lambda x: x + 0.3 * np.sin(2 * np.pi * 50 * np.arange(5000) / 500), "mains-hum"),
    (lambda x: np.vstack([-x[0], x[2], x[1], x[4], x[3], x[5], x[6:]]), "limb-leads-swapped"),
    (lambda x: np.vstack([x[:2], x[6:7], x[3:]]), "leads-contradict"),
    (lambda x: np.random.default_rng(0).normal(0, 0.04, x.shape), "lead-off")])
def test_each_gate_names_its_reason_and_nothing_is_asked(spoil: Callable[[Floats], Floats], code: str) -> None:
    class NoModel:
        def infer(self, *_: object) -> dict[str, Any]:
            raise AssertionError("nothing should be inferred")

    silent: Any = NoModel()
    spoilt = np.asarray(spoil(synthesise("normal", 1)), np.float32)
    result = read(PIPELINE, study("ecg"), ecg(spoilt), silent, RELEASES).result
    assert result.verdict is Verdict.UNDETERMINED
    assert code in [problem.code for problem in result.problems]


def test_a_recording_that_cannot_be_loaded_is_undetermined() -> None:
    def refuse(_: object) -> Exception:
        return Unusable("the waveform is cut off", element="WaveformData")

    silent: Any = Saying()
    result = read(PIPELINE, study("ecg"), refuse, silent, RELEASES).result
    assert next(p.code for p in result.problems) == "unreadable-ecg"


def test_two_and_a_half_seconds_are_enough() -> None:
    for start in (0, 400, 900):
        result = told(synthesise("inferior", 1)[:, start:start + 1250], MI=0.9, inferior=0.9)
        assert present(result) == ["MI", "inferior"]


# ------------------------------------------------------------ the served models


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


@pytest.mark.parametrize(("kind", "seed", "found"), [
    ("normal", 10, []), ("afib", 11, []), ("lbbb", 4, []), ("inferior", 1, ["MI", "inferior"])])
@pytest.mark.parametrize("change", [
    lambda x: (x, 500.0), lambda x: (x[:, ::2], 250.0), lambda x: (np.repeat(x, 2, axis=1), 1000.0),
    lambda x: (x[:, 1000:2250], 500.0), lambda x: (np.tile(x, (1, 3)), 500.0)],
    ids=["10 s", "250 Hz", "1000 Hz", "2.5 s", "30 s"])
def test_synthetic_ecgs_are_read_as_what_they_are(inference: EmbeddedInference, kind: str, seed: int, found: list[str],
                                                  change: Callable[[Floats], tuple[Floats, float]]) -> None:
    analysis = read(PIPELINE, study("ecg"), ecg(*change(synthesise(kind, seed))), inference)
    assert present(analysis.result) == found
    assert "septal" not in {finding.label for finding in analysis.result.findings}
    if found:
        assert isinstance(analysis.evidence, EvidenceTrace)
        assert analysis.evidence.values.max() == 255


def test_the_demonstration_shows_an_infarction() -> None:
    (sample,) = samples()
    assert (sample.verdict, sample.label, sample.leads) == ("pathology", "inferior", LEADS)


# ------------------------------------------------------------ members


def test_models_of_one_training_share_what_they_remember() -> None:
    first = Memory(frozenset({b"a", b"b"}), {"1": 0}, [{"MI": 0.3}])
    second = Memory(frozenset({b"b", b"c"}), {"1": 0}, [{"inferior": 0.2}])
    assert joined([first, second]) == Memory(frozenset({b"b"}), {"1": 0}, [{"MI": 0.3, "inferior": 0.2}])


def test_sites_come_from_the_model() -> None:
    assert sites_of(released("x", ("lateral", "inferior"))) == ("inferior", "lateral")
    few = decision.decide(Scores({"MI": 0.9, "inferior": 0.9}, {"MI": 0.5, "inferior": 0.5}), ("inferior",),
                          ecg(synthesise("normal", 1))(study("ecg").instances), None, None, Provenance("ecg_mi", "1"))
    assert [p.code for p in few.problems].count("site-not-trained") == 5
    assert isinstance(few.findings[1], Finding)
