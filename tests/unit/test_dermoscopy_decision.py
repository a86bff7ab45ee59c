"""Dermoscopy: what is told of a lesion, and what is not told; gates with the model's own limits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image

from adapters.inference.embedded import EmbeddedInference
from gateway.errors import Permanent, Unusable
from gateway.evidence_map import EvidenceVolume
from gateway.photograph import Photograph
from gateway.pipeline import Analysis, KeyImage
from gateway.result import ImageRegion, ModelRelease, Problem, Provenance, Result, Verdict, risk_of
from gateway.study import Instance, Study
from gateway.translation import in_language
from pipelines.dermoscopy import PIPELINE
from pipelines.dermoscopy.decision import NOT_TRAINED, Read, Settings, decide, settings_of
from pipelines.dermoscopy.gates import BLURRED, NO_LESION
from pipelines.dermoscopy.inputs import person_of
from pipelines.dermoscopy.labels import CLASSES, UNTRAINED
from pipelines.dermoscopy.measures import Abcd
from pipelines.dermoscopy.selection import MOST, select
from pipelines.dermoscopy.synthetic import as_bytes, cat, leaves, lesion, page, ruler, skin
from pipelines.dermoscopy.words import WORDS
from tests.builders import study
from tests.reading import MODELS, Loaded, read

SETTINGS = Settings({"melanoma": 0.3, "seborrheic_keratosis": 0.4, "histology_needed": 0.1}, {}, (0.9, 0.5))
ABCD = Abcd(0.1, 1.4, 20.0, ("light brown", "black"), 4.2, 0.12)
DERMOSCOPIC, CAPTURE = "1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.840.10008.5.1.4.1.1.7"


def a_read(melanoma: float, keratosis: float) -> Read:
    told = dict(zip(CLASSES, (melanoma, keratosis, 1 - melanoma - keratosis), strict=True))
    return Read(told, ABCD, ImageRegion("1.2.3", 1, 2, 30, 40))


def told(melanoma: float, keratosis: float, problems: tuple[Problem, ...] = (), count: int = 1) -> Result:
    return decide(a_read(melanoma, keratosis), SETTINGS, count, problems,
                  Provenance("dermoscopy", "1"), ("1.2.3",))


@pytest.mark.parametrize(("melanoma", "keratosis", "verdict", "present"), [
    (0.05, 0.1, Verdict.NORMAL, set()), (0.2, 0.1, Verdict.PATHOLOGY, {"histology_needed"}),
    (0.5, 0.1, Verdict.PATHOLOGY, {"histology_needed", "melanoma"}),
    (0.05, 0.6, Verdict.PATHOLOGY, {"seborrheic_keratosis"})])
def test_the_verdict(melanoma: float, keratosis: float, verdict: Verdict, present: set[str]) -> None:
    result = told(melanoma, keratosis)
    assert result.verdict is verdict
    assert {f.label for f in result.findings if f.present} == present
    assert result.risk == risk_of(result.findings)
    needed = "yes" if "histology_needed" in present else "no"
    assert f"Histology needed (sensitivity 0.90, specificity 0.50): {needed}." in result.summary
    assert result.summary.endswith("Asymmetry of the lesion 10.0 %. Border irregularity 1.40. "
                                   "Colours in the lesion 2: light brown, black. Diameter 4.2 mm.")


def test_classes_without_pictures_are_declared_and_never_shown_as_zero() -> None:
    result = told(0.05, 0.1)
    assert NOT_TRAINED in result.problems
    assert all(name in NOT_TRAINED.text for name in UNTRAINED)
    assert not {f.label for f in result.findings} & set(UNTRAINED)


def test_what_was_not_read_keeps_it_from_being_normal() -> None:
    result = told(0.05, 0.1, problems=(BLURRED,), count=2)
    assert result.verdict is Verdict.UNDETERMINED
    assert BLURRED.text in result.summary
    assert told(0.5, 0.1, problems=(BLURRED,)).verdict is Verdict.PATHOLOGY


def test_everything_that_is_said_is_said_in_russian() -> None:
    russian = in_language(Analysis(told(0.5, 0.5)), WORDS["ru"], "ru").result
    assert russian.summary.endswith("Асимметрия образования 10 %. Неровность границы 1.4. Цветов в образовании 2 шт. "
                                    "Диаметр 4.2 мм.")
    assert russian.findings[0].display == "Нужна гистология (чувств. 0.90, специф. 0.50)"
    latin = [text for text in (*(f.display for f in russian.findings), *(m.name for m in russian.measurements),
                               *(p.text for p in russian.problems)) if text.isascii()]
    assert latin == []


@pytest.mark.parametrize("spoilt", [{"labels": "a,b"}, {"thresholds": "{}"}, {"limits": "nonsense"},
                                    {"operating_point": "[1]"}])
def test_a_model_of_another_kind_is_refused(spoilt: dict[str, str]) -> None:
    good = {"labels": ",".join(CLASSES), "thresholds": json.dumps(SETTINGS.thresholds), "limits": "{}",
            "operating_point": "[0.9, 0.5]"}
    release = ModelRelease("dermoscopy", "1", "a" * 64, False, "", good)
    assert settings_of(release) == SETTINGS
    with pytest.raises(Permanent):
        settings_of(replace(release, parameters=good | spoilt))


# ------------------------------------------------------------ what is selected


def photographs(count: int, sop_class: str = DERMOSCOPIC, modality: str = "DMS", **tags: Any) -> Study:
    of = study("ct", instances=count, tags={"Modality": modality, "Rows": 480, "Columns": 640} | tags)
    classed = tuple(replace(i, sop_class_uid=sop_class) for i in of.instances)
    return replace(of, series=(replace(of.series[0], modality=modality, instances=classed),))


@pytest.mark.parametrize(("sop_class", "modality", "taken"), [
    (DERMOSCOPIC, "DMS", True), ("1.2.840.10008.5.1.4.1.1.77.1.4", "XC", True), (CAPTURE, "DMS", True),
    (CAPTURE, "XC", True), (CAPTURE, "OT", False), ("1.2.840.10008.5.1.4.1.1.2", "CT", False)])
def test_photographs_are_known_by_class(sop_class: str, modality: str, taken: bool) -> None:
    selection = select(photographs(2, sop_class, modality))
    assert len(selection.instances) == (2 if taken else 0)
    assert bool(selection.problems) is not taken


def test_no_more_than_a_bound_is_read_and_that_is_said() -> None:
    selection = select(photographs(MOST + 3))
    assert len(selection.instances) == MOST
    assert selection.details["photographs"] == MOST + 3


@pytest.mark.parametrize(("tags", "age"), [
    ({"PatientAge": "068Y"}, 1.0), ({"PatientAge": "006M", "StudyDate": ""}, None), ({"StudyDate": "20260501"}, True)])
def test_age_comes_from_the_tags(tags: dict[str, Any], age: Any) -> None:
    given = person_of(replace(photographs(1, **tags), patient=replace(photographs(1).patient, birth_date="19760501")))
    assert bool(given[2] == 1) is (age is not None)
    if age is not None:
        assert given[0] == pytest.approx(1.0 if tags.get("PatientAge") else 0.0)


# ------------------------------------------------------------ whole readings with the model


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


def reading(inference: EmbeddedInference, *pictures: Any, of: Study | None = None) -> Analysis:
    asked = of or photographs(len(pictures))
    shown = dict(zip((i.sop_instance_uid for i in asked.instances), pictures, strict=True))

    def load(instances: tuple[Instance, ...]) -> Loaded:
        picture = shown[instances[0].sop_instance_uid]
        return picture if isinstance(picture, Exception) else Photograph(picture, (0.03, 0.03),
                                                                         instances[0].sop_instance_uid)

    return read(PIPELINE, asked, load, inference)


def blurred(pixels: Any, sigma: float) -> Any:
    from scipy import ndimage

    return as_bytes(ndimage.gaussian_filter(pixels / 255, (sigma, sigma, 0)))


def even() -> Any:
    """One colour of skin, with the noise of a camera."""
    colour = np.ones((450, 600, 3)) * np.array([0.88, 0.67, 0.59])
    return as_bytes(colour + 0.012 * np.random.default_rng(0).standard_normal(colour.shape))


@pytest.mark.slow
def test_what_is_blurred_and_shows_no_lesion_is_told_as_both(inference: EmbeddedInference) -> None:
    result = reading(inference, blurred(even(), 5)).result
    assert (result.verdict, result.problems) == (Verdict.UNDETERMINED, (BLURRED, NO_LESION))


@pytest.mark.slow
@pytest.mark.parametrize(("picture", "reasons"), [
    (lambda: blurred(lesion(1), 7), {"blurred"}), (lambda: as_bytes(lesion(1) / 255 * 0.25), {"too-dark"}),
    (lambda: as_bytes(lesion(1) / 255 * 2.5), {"overexposed"}), (lambda: as_bytes(skin()), {"no-lesion"}),
    (even, {"no-lesion"}),
    (cat, {"not-skin"}), (lambda: cat(fur=(0.75, 0.5, 0.25)), {"not-skin"}), (leaves, {"not-skin"}),
    (page, {"not-skin"}), (ruler, {"not-skin"}), (lambda: ruler(on_skin=True), {"no-lesion", "not-skin"}),
    (lambda: lesion(1)[::6, ::6], {"too-small"}), (lambda: Unusable("The pixels of this image cannot be decoded."),
                                                   {"unreadable-photograph"})],
    ids=["blurred", "dark", "burnt out", "skin alone", "even skin", "cat", "ginger cat", "leaves", "page", "ruler",
         "ruler on skin", "tiny", "damaged"])
def test_what_cannot_be_read_is_undetermined_with_the_reason(picture: Any, reasons: set[str],
                                                             inference: EmbeddedInference) -> None:
    analysis = reading(inference, picture())
    assert analysis.result.verdict is Verdict.UNDETERMINED
    assert len(analysis.result.problems) == 1
    assert analysis.result.problems[0].code in reasons
    assert analysis.result.findings == ()


@pytest.mark.slow
@pytest.mark.parametrize("part", [(0, 600, 0, 512), (60, 260, 150, 350), (100, 220, 180, 340), (150, 300, 200, 330),
                                  (400, 600, 100, 400)], ids=["portrait", "face", "eyes", "mouth", "uniform"])
def test_a_person_is_no_lesion(part: tuple[int, int, int, int], inference: EmbeddedInference) -> None:
    """A portrait that comes with matplotlib (Grace Hopper, public domain), whole and in parts."""
    top, bottom, left, right = part
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as portrait:
        pixels = np.asarray(portrait.convert("RGB").crop((left, top, right, bottom)).resize((450, 400)))
    result = reading(inference, pixels).result
    assert result.verdict is Verdict.UNDETERMINED
    assert {problem.code for problem in result.problems} <= {"not-skin", "no-lesion", "unknown", "too-dark"}


@pytest.mark.slow
def test_a_lesion_is_read_shown_and_measured(inference: EmbeddedInference) -> None:
    analysis = reading(inference, lesion(1, ragged=0.05))
    result, picture = analysis.result, analysis.picture
    assert [f.label for f in result.findings] == ["histology_needed", "melanoma", "seborrheic_keratosis"]
    region = result.findings[0].region
    assert isinstance(region, ImageRegion)
    np.testing.assert_allclose([region.left, region.top, region.right, region.bottom], [185, 125, 455, 355], atol=25)
    measured = {m.code.meaning: m.value for m in result.measurements}
    assert 6 < measured["Diameter"] < 9
    assert measured["Asymmetry of the lesion"] < 10
    assert isinstance(picture, KeyImage)
    assert picture.pixels.shape == (480, 640, 3)
    assert picture.heat is not None
    assert picture.heat.max() == pytest.approx(1)
    top, bottom, left, right = (int(v / s * 256) for v, s in ((region.top, 480), (region.bottom, 480),
                                                             (region.left, 640), (region.right, 640)))
    near = picture.heat[max(top - 25, 0):bottom + 25, max(left - 25, 0):right + 25]
    assert near.sum() > 0.9 * picture.heat.sum()
    assert isinstance(analysis.evidence, EvidenceVolume)
    assert analysis.evidence.labels == ("histology_needed", "melanoma", "seborrheic_keratosis", "outline")
    russian = in_language(analysis, WORDS["ru"], "ru").evidence
    assert isinstance(russian, EvidenceVolume)
    assert (analysis.evidence.names, russian.names) == ({"outline": "Outline of the lesion"},
                                                        {"outline": "Контур образования"})


@pytest.mark.slow
def test_the_most_suspicious_of_several_is_told(inference: EmbeddedInference) -> None:
    pictures = [lesion(1, ragged=0.05), as_bytes(skin()), lesion(2, ragged=0.25, second=True)]
    alone = [reading(inference, picture, of=None) for picture in (pictures[0], pictures[2])]
    worst = max(f.probability for one in alone for f in one.result.findings if f.label == "melanoma")
    together = reading(inference, *pictures)
    found = {f.label: f for f in together.result.findings}
    assert found["melanoma"].probability == pytest.approx(worst)
    assert NO_LESION in together.result.problems
    assert together.result.verdict is not Verdict.NORMAL
    assert "The most suspicious of 3 photographs is told." in together.result.summary
    assert isinstance(together.evidence, EvidenceVolume)
    assert len(together.evidence.slices) == 2
