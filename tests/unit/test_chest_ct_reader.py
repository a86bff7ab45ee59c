"""The chest CT pipeline end to end: synthetic chests through the served models, and fakes where the answer is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Permanent, Unusable
from gateway.pipeline import Analysis, Array, Floats, KeyImage, Volume
from gateway.result import ImageRegion, ModelRelease, Problem, Verdict
from gateway.study import Study
from pipelines.chest_ct import PIPELINE, synthetic
from pipelines.chest_ct.cases import as_volume
from pipelines.chest_ct.labels import ABNORMAL, AUTOENCODER, CLASSIFIER, KINDS
from tests.builders import study
from tests.reading import MODELS, Load, read

pytestmark = pytest.mark.slow

SAMPLES = {sample.name: sample for sample in synthetic.samples()}
EXPECTED = {"normal-like": "", "opacity": "opacity", "mass": "nodule", "effusion": "effusion"}


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


class Given:
    """Models of the real repository that answer what the test says: `logit` for one label, −9 for the others."""

    def __init__(self, real: EmbeddedInference, kind: str = "", logit: float = 9.0) -> None:
        self.real, self.kind, self.logit = real, kind, logit

    def models(self) -> tuple[str, ...]:
        return self.real.models()

    def release(self, model: str) -> ModelRelease:
        return self.real.release(model)

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        if model == AUTOENCODER:
            return {"rebuilt": inputs["lungs"]}
        count = len(inputs["slabs"])
        maps = np.full((count, 5, 40, 40), -9, np.float32)
        if self.kind:
            number = (*KINDS, ABNORMAL).index(self.kind)
            maps[count // 2 - 1:count // 2 + 2, number, 18:22, 8:12] = self.logit - 0.5
            maps[count // 2, number, 18:22, 8:12] = self.logit
        assert outputs == ("evidence",)
        return {"evidence": maps}


def ct_study(slices: int) -> Study:
    return study("ct", instances=slices, tags={"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
                                               "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SliceThickness": 5})


def loaded(volume: Volume) -> Load:
    """The volume under the UIDs of the study's instances."""
    return lambda instances: replace(volume, slices=tuple((i.sop_instance_uid, 1) for i in instances))


def analysed(volume: Volume, inference: EmbeddedInference | Given) -> Analysis:
    return read(PIPELINE, ct_study(len(volume.hu)), loaded(volume), inference)


def of_sample(name: str) -> Volume:
    return as_volume(SAMPLES[name].hu, SAMPLES[name].spacing)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_the_demonstration_cases_come_out_as_told(name: str, inference: EmbeddedInference) -> None:
    analysis = analysed(of_sample(name), inference)
    result = analysis.result
    assert result.verdict.value == SAMPLES[name].verdict, result.summary
    assert result.demonstration
    present = {finding.label for finding in result.findings if finding.present}
    assert not EXPECTED[name] or {EXPECTED[name], "abnormal"} <= present
    assert isinstance(analysis.picture, KeyImage)
    assert analysis.picture.pixels.shape == (256, 256)
    assert (analysis.picture.heat is None) == (SAMPLES[name].verdict == "normal")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal-like", "opacity"])
def test_other_noise_changes_nothing(name: str, inference: EmbeddedInference) -> None:
    seeds = {"normal-like": (9001, ()), "opacity": (9041, ("opacity",))}
    for noise in (1, 2):
        sample = synthetic.sample(name, name, *seeds[name], noise_seed=noise)
        assert not np.array_equal(sample.hu, SAMPLES[name].hu)
        assert analysed(as_volume(sample.hu, sample.spacing), inference).result.verdict.value == sample.verdict


@pytest.mark.slow
def test_unseen_normals_are_normal_and_large_disease_is_found(inference: EmbeddedInference) -> None:
    """10 further healthy chests, and each kind of disease at fair size in 2 more."""
    healthy = [analysed(_chest(880_000_000 + n), inference).result.verdict for n in range(10)]
    assert healthy.count(Verdict.NORMAL) >= 9
    sick = [analysed(_chest(881_000_000 + n, kind), inference).result.verdict for n in range(2) for kind in KINDS]
    assert sick.count(Verdict.PATHOLOGY) >= 7


def _chest(seed: int, *kinds: str) -> Volume:
    case = synthetic.chest(seed, kinds, shape=(64, 200, 200), spacing=(5.0, 1.9, 1.9), severity=0.7)
    return as_volume(case.hu, case.spacing)


@pytest.mark.parametrize("kind", ["opacity", "nodule", "effusion"])
def test_the_region_lies_on_the_lesion(kind: str, inference: EmbeddedInference) -> None:
    case = synthetic.chest(882_000_007, (kind,), shape=(64, 200, 200), spacing=(5.0, 1.9, 1.9), severity=0.8)
    of = ct_study(64)
    result = read(PIPELINE, of, loaded(as_volume(case.hu, case.spacing)), inference).result
    finding = next(finding for finding in result.findings if finding.label == kind)
    assert isinstance(finding.region, ImageRegion)
    index = [i.sop_instance_uid for i in of.instances].index(finding.region.sop_instance_uid)
    box, at = np.zeros((200, 200), bool), finding.region
    box[int(at.top):int(at.bottom) + 1, int(at.left):int(at.right) + 1] = True
    lesion = case.lesions[kind][index] > 0.5
    assert (box & lesion).sum() > 0.5 * min(box.sum() * 0.4, lesion.sum())


def test_measures_hold_whatever_the_networks_say(inference: EmbeddedInference) -> None:
    volume = of_sample("normal-like")
    told = [analysed(volume, model).result for model in (Given(inference), Given(inference, "opacity"), inference)]
    assert told[0].measurements == told[1].measurements == told[2].measurements
    measured = ("CTLUNGVOL", "CTLUNGMEAN", "CTLAA950", "CTPALE", "CTHAA300", "CTDENSE")
    assert {m.code.value for m in told[0].measurements} == {name + side for name in measured for side in ("", "R", "L")}
    assert [told[0].verdict, told[1].verdict] == [Verdict.NORMAL, Verdict.PATHOLOGY]


def test_the_picture_shows_the_slice_and_region_of_the_most_urgent_finding(inference: EmbeddedInference) -> None:
    analysis = analysed(of_sample("normal-like"), Given(inference, "nodule"))
    finding = next(finding for finding in analysis.result.findings if finding.label == "nodule")
    picture = analysis.picture
    assert isinstance(picture, KeyImage)
    assert isinstance(finding.region, ImageRegion)
    assert picture.heat is not None
    assert picture.source == (finding.region.sop_instance_uid, finding.region.frame)
    top, bottom, left, right = (int(n) for n in (finding.region.top, finding.region.bottom, finding.region.left,
                                                 finding.region.right))
    assert picture.heat[top:bottom, left:right].mean() > 0.5
    outside = picture.heat.copy()
    outside[top - 15:bottom + 15, left - 15:right + 15] = 0
    assert outside.max() < 0.01
    assert picture.caption.endswith("of 64, lung window")


def test_lungs_that_are_abnormal_without_a_name_show_where(inference: EmbeddedInference) -> None:
    analysis = analysed(of_sample("normal-like"), Given(inference, ABNORMAL))
    result = analysis.result
    assert result.verdict is Verdict.PATHOLOGY
    assert [finding.label for finding in result.findings if finding.present] == [ABNORMAL]
    assert isinstance(result.findings[-1].region, ImageRegion)
    assert isinstance(analysis.picture, KeyImage)
    assert analysis.picture.heat is not None
    assert analysis.picture.heat.max() > 0.5


@pytest.mark.parametrize("problem", ["gap", "unreadable-slices"])
def test_a_faulty_stack_gets_no_verdict_and_what_is_seen_is_told(problem: str, inference: EmbeddedInference) -> None:
    volume = replace(of_sample("normal-like"), problems=(Problem(problem, "Something is missing."),))
    healthy = analysed(volume, Given(inference)).result
    assert healthy.verdict is Verdict.UNDETERMINED
    assert [p.code for p in healthy.problems] == [problem]
    assert healthy.findings
    sick = analysed(volume, Given(inference, "effusion")).result
    assert sick.verdict is Verdict.UNDETERMINED
    assert sick.risk > 0.1
    assert "Something is missing. Seen all the same: Pleural effusion" in sick.summary


def _shifted(hu: Floats) -> Floats:
    steps = np.random.default_rng(0).integers(-8, 9, len(hu))
    return np.stack([np.roll(plane, int(step), axis=1) for plane, step in zip(hu, steps, strict=True)])


def _shuffled(hu: Floats) -> Floats:
    return np.random.default_rng(0).permutation(hu)


def _emptied(hu: Floats) -> Floats:
    return np.where((np.arange(len(hu)) // 4 == 7)[:, None, None], np.float32(-1024), hu)


@pytest.mark.parametrize(("spoil", "code"), [(_shifted, "motion"), (_shuffled, "motion"), (_emptied, "blank-slices")])
def test_slices_that_do_not_follow_each_other_get_no_verdict(spoil: Callable[[Floats], Floats], code: str,
                                                             inference: EmbeddedInference) -> None:
    volume = of_sample("normal-like")
    result = analysed(replace(volume, hu=np.asarray(spoil(volume.hu), np.float32)), Given(inference)).result
    assert result.verdict is Verdict.UNDETERMINED
    assert code in [p.code for p in result.problems]


def test_a_harmless_fault_is_told_and_stays_normal(inference: EmbeddedInference) -> None:
    volume = replace(of_sample("normal-like"), problems=(Problem("duplicates-dropped", "Twice the same."),))
    result = analysed(volume, Given(inference)).result
    assert result.verdict is Verdict.NORMAL
    assert [p.code for p in result.problems] == ["duplicates-dropped"]


def test_a_refused_series_is_undetermined_with_the_reason(inference: EmbeddedInference) -> None:
    result = read(PIPELINE, ct_study(40), lambda _: Unusable("the slices are not axial"), inference).result
    assert result.verdict is Verdict.UNDETERMINED
    assert [p.code for p in result.problems] == ["unreadable-series"]
    assert "not axial" in result.summary


def test_thin_slices_give_the_same_verdict(inference: EmbeddedInference) -> None:
    """1.25 mm slices of the same chest, on the same working grid."""
    volume = of_sample("opacity")
    thin = replace(volume, hu=np.repeat(volume.hu, 4, axis=0), spacing=(1.25, 1.5, 1.5),
                   positions=np.arange(256) * 1.25, slices=tuple((f"2.25.{n}", 1) for n in range(256)))
    assert analysed(thin, inference).result.verdict is Verdict.PATHOLOGY


@pytest.mark.parametrize("parameter", ["calibration", "thresholds"])
def test_a_model_without_its_numbers_is_refused(parameter: str, inference: EmbeddedInference) -> None:
    releases = tuple(inference.release(model) for model in PIPELINE.models)
    bare = replace(releases[0], parameters={k: v for k, v in releases[0].parameters.items() if k != parameter})
    with pytest.raises(Permanent, match=CLASSIFIER):
        read(PIPELINE, ct_study(64), loaded(of_sample("normal-like")), inference, (bare, releases[1]))
