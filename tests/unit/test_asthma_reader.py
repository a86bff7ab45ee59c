"""The breath sound reader with a model that says what it is told: selection, verdicts, words, picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.dicom.content.sheet_spectrogram import draw_spectrogram
from gateway.audio import Audio
from gateway.errors import Permanent, Unusable
from gateway.pipeline import Analysis, Array, Infer, LoadAudio, SpectrogramSheet
from gateway.result import ModelRelease, Verdict
from gateway.study import Instance, Series, Study
from gateway.translation import in_language
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.memory import mark, memory_of, written
from pipelines.asthma.reader import Asthma, shortest_of
from pipelines.asthma.synthetic import breath
from tests import builders

GENERAL, BASIC = "1.2.840.10008.5.1.4.1.1.9.4.2", "1.2.840.10008.5.1.4.1.1.9.4.1"
RESPIRATORY, ECG = "1.2.840.10008.5.1.4.1.1.9.6.1", "1.2.840.10008.5.1.4.1.1.9.1.1"
RELEASE = ModelRelease("asthma", "1", "00", False, "", {
    "labels": ",".join(OUTPUTS), "shortest_seconds": "10",
    "thresholds": json.dumps({"asthma": 0.5, "abnormal": 0.6, "wheeze": 0.7, "crackles": 0.7})})


def study(*classes: str) -> Study:
    made = builders.study("ct", instances=max(len(classes), 1))
    (series,) = made.series
    chosen = tuple(replace(i, sop_class_uid=c, tags={"Modality": "AU", "InstanceNumber": len(classes) - n})
                   for n, (i, c) in enumerate(zip(series.instances, classes, strict=False)))
    return replace(made, series=(Series("1.2.3", "AU", chosen),))


def audio(instance: Instance, seconds: float = 10, **changes: Any) -> Audio:
    told = Audio(breath("normal", 2)[None, :round(seconds * 4000)], 4000.0, instance.sop_instance_uid, ((1, 1),),
                 "posterior left lower")
    return replace(told, **changes)


def answered(of: Study, told: Mapping[str, Sequence[float] | Audio | Exception], release: ModelRelease = RELEASE
             ) -> Analysis:
    """`told`: SOP Instance UID → probabilities of a sound of ten seconds, or what is loaded in its stead."""
    pipeline = Asthma()
    steps, now, answer = pipeline.analyse(of, pipeline.select(of), (release,)), "", None
    try:
        request = next(steps)
        while True:
            if isinstance(request, LoadAudio):
                (instance,) = request.instances
                now = instance.sop_instance_uid
                loaded = told[now]
                if isinstance(loaded, Exception):
                    request = steps.throw(loaded)
                    continue
                answer = loaded if isinstance(loaded, Audio) else audio(instance)
            else:
                assert isinstance(request, Infer)
                answer = _inferred(request.inputs, told[now])
            request = steps.send(answer)
    except StopIteration as end:
        analysis: Analysis = end.value
        return analysis


def _inferred(inputs: Mapping[str, Array], said: Any) -> dict[str, Array]:
    count = len(inputs["mel"])
    assert inputs["mel"].shape == (count, 3, 128, 250)
    assert inputs["features"].shape == (count, 3)
    probabilities = np.tile(np.asarray(said if isinstance(said, tuple) else (0.1,) * 4, np.float32), (count, 1))
    attention = np.zeros((count, 16, 15), np.float32)
    attention[:, 4:8] = 1 / 60
    return {"probabilities": probabilities, "attention": attention}


def read(*probabilities: float) -> Analysis:
    of = study(GENERAL)
    return answered(of, {of.instances[0].sop_instance_uid: probabilities})


@pytest.mark.parametrize(("probabilities", "verdict", "words"), [
    ((0.8, 0.9, 0.9, 0.1), Verdict.PATHOLOGY, "Asthma-like breath sound (probability 0.80); Wheezes"),
    ((0.8, 0.3, 0.1, 0.1), Verdict.PATHOLOGY, "Asthma-like breath sound"),
    ((0.2, 0.9, 0.1, 0.8), Verdict.PATHOLOGY, "Other abnormal, not asthma-like: Crackles"),
    ((0.2, 0.7, 0.1, 0.1), Verdict.PATHOLOGY, "Other abnormal, not asthma-like: Abnormal breath sounds"),
    ((0.2, 0.3, 0.8, 0.1), Verdict.PATHOLOGY, "Other abnormal, not asthma-like: Wheezes"),
    ((0.4, 0.5, 0.1, 0.1), Verdict.NORMAL, "Normal breath sound")])
def test_three_verdicts(probabilities: tuple[float, ...], verdict: Verdict, words: str) -> None:
    result = read(*probabilities).result
    assert result.verdict is verdict
    assert result.summary.startswith(words)
    assert "Share of sound energy in 200-800 Hz" in result.summary
    assert [finding.label for finding in result.findings] == list(OUTPUTS)


def test_a_present_finding_says_when_it_is_heard() -> None:
    result = read(0.8, 0.9, 0.9, 0.1).result
    regions = {finding.label: finding.region for finding in result.findings}
    assert regions["crackles"] is None
    assert regions["wheeze"].start < regions["wheeze"].end <= 10.0
    assert result.evidence == (regions["wheeze"].sop_instance_uid,)


def test_recordings_of_a_study_are_averaged_and_bad_ones_named() -> None:
    of = study(GENERAL, BASIC, GENERAL, GENERAL)
    uids = [i.sop_instance_uid for i in of.instances]
    analysis = answered(of, {uids[0]: (0.9, 0.9, 0.2, 0.2), uids[1]: (0.5, 0.7, 0.2, 0.2), uids[2]: Unusable("cut"),
                             uids[3]: audio(of.instances[3], 2)})
    result = analysis.result
    assert {f.label: round(f.probability, 3) for f in result.findings}["asthma"] == 0.7
    assert {problem.code for problem in result.problems} == {"unreadable-sound", "too-short", "shorter-than-published"}
    assert set(result.evidence) == {uids[0], uids[1]}
    assert isinstance(analysis.picture, SpectrogramSheet)
    assert analysis.picture.caption.startswith("Recording 2 of 2, posterior left lower")


@pytest.mark.parametrize(("change", "reason"), [
    ({"signal": np.zeros((1, 40000), np.float32)}, "silence"),
    ({"signal": np.clip(8 * breath("normal", 2)[None], -1, 1)}, "clipped"),
    ({"signal": breath("normal", 2)[None, :8000]}, "too-short"), ({"rate": 100.0}, "sampling-rate")])
def test_what_is_not_fit_is_undetermined(change: dict[str, Any], reason: str) -> None:
    of = study(GENERAL)
    told = replace(audio(of.instances[0], 15), **change)
    result = answered(of, {of.instances[0].sop_instance_uid: told}).result
    assert (result.verdict, [p.code for p in result.problems]) == (Verdict.UNDETERMINED, [reason])


def test_two_channels_one_silent() -> None:
    of = study(GENERAL)
    both = np.stack([breath("normal", 2), np.zeros(60000, np.float32)])
    result = answered(of, {of.instances[0].sop_instance_uid: audio(of.instances[0], signal=both)}).result
    assert result.verdict is Verdict.NORMAL
    assert not result.problems


def test_sounds_come_before_respiratory_waveforms_and_nothing_else_is_selected() -> None:
    pipeline = Asthma()
    of = study(ECG, RESPIRATORY, GENERAL, BASIC)
    assert [i.sop_class_uid for i in pipeline.select(of).instances] == [BASIC, GENERAL]
    assert [i.sop_class_uid for i in pipeline.select(study(ECG, RESPIRATORY)).instances] == [RESPIRATORY]
    assert [p.code for p in pipeline.select(study(ECG)).problems] == ["no-sound"]


def test_a_probability_that_is_none_is_told() -> None:
    result = read(float("nan"), 0.5, 0.5, 0.5).result
    assert [p.code for p in result.problems] == ["invalid-model-output"]


def test_the_length_is_the_sites_choice() -> None:
    def with_length(told: str) -> ModelRelease:
        return replace(RELEASE, parameters={**RELEASE.parameters, "shortest_seconds": told})

    of = study(GENERAL)
    uid = of.instances[0].sop_instance_uid
    result = answered(of, {uid: (0.1,) * 4}, with_length("14")).result
    assert [p.code for p in result.problems] == ["too-short"]
    assert shortest_of(replace(RELEASE, parameters={})) == 14.0
    with pytest.raises(Permanent):
        shortest_of(with_length("long"))


def test_another_model_is_refused() -> None:
    of = study(GENERAL)
    other = replace(RELEASE, parameters={**RELEASE.parameters, "labels": "a,b"})
    with pytest.raises(Permanent):
        answered(of, {of.instances[0].sop_instance_uid: (0.1,) * 4}, other)


def test_it_speaks_russian() -> None:
    analysis = in_language(read(0.8, 0.9, 0.9, 0.8), Asthma.words["ru"], "ru")
    texts = [analysis.result.summary, *(f.display for f in analysis.result.findings),
             *(m.display for m in analysis.result.measurements), *(p.text for p in analysis.result.problems),
             analysis.picture.caption]
    for text in texts:
        assert any("а" <= c <= "я" for c in text.lower()), text
    assert "10.0 с" in analysis.result.problems[0].text


def test_the_picture_shows_sound_and_attention() -> None:
    analysis = read(0.8, 0.9, 0.9, 0.8)
    sheet = analysis.picture
    assert isinstance(sheet, SpectrogramSheet)
    assert sheet.heat is not None
    assert sheet.heat.shape == sheet.levels.shape
    assert (sheet.seconds, sheet.start) == (10.0, 0.0)
    assert sheet.heat[40:56].min() == 1
    assert sheet.heat[:28].max() == sheet.heat[72:].max() == 0
    drawn = draw_spectrogram(builders.reading("ecg"), sheet)
    plain = draw_spectrogram(builders.reading("ecg"), replace(sheet, heat=None))
    russian = draw_spectrogram(replace(builders.reading("ecg"), language="ru"), sheet)
    assert (russian[-80:] != drawn[-80:]).any()
    assert drawn.shape[1] == plain.shape[1] == 1320
    assert drawn.shape[0] > plain.shape[0] + 250
    assert (drawn[..., 0].astype(int) - drawn[..., 2] > 80).mean() > (plain[..., 0].astype(int) - plain[..., 2] > 80
                                                                      ).mean() + 0.05


def test_a_model_knows_what_it_has_learned_from() -> None:
    sound = breath("normal", 1)[None]
    release = replace(RELEASE, parameters={"memory": written([mark(sound), "0011223344"], [3, 0])})
    assert memory_of(release)[mark(sound)] == 3
    assert mark(sound) != mark(sound * np.float32(0.9))
    assert not memory_of(RELEASE)
    with pytest.raises(Permanent):
        memory_of(replace(RELEASE, parameters={"memory": "["}))


