"""From scores to verdict: thresholds, the overall finding, doubts and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Permanent
from gateway.result import Measurement, ModelRelease, Problem, Provenance, Verdict
from pipelines.chest_ct.calibration import Curve
from pipelines.chest_ct.decision import Scores, decide, findings, undetermined
from pipelines.chest_ct.labels import ABNORMAL, FINDINGS, KINDS, LABELS, UNUSUAL, learned
from pipelines.chest_ct.measures import DENSITY, HOUNSFIELD, MILLILITRE, VOLUME

MEASURED = (Measurement(VOLUME, 5000, MILLILITRE), Measurement(DENSITY, -820, HOUNSFIELD))
WHO = Provenance("chest_ct", "1")


def scores(thresholds: dict[str, float] | None = None, **logits: float) -> Scores:
    values = dict.fromkeys((*KINDS, ABNORMAL, UNUSUAL), -5.0) | logits
    return Scores(values, {label: Curve(1, 0, (thresholds or {}).get(label, 0.5)) for label in values})


@given(st.lists(st.floats(-12, 12), min_size=6, max_size=6), st.lists(st.floats(0.05, 0.95), min_size=5, max_size=5))
def test_the_overall_finding_is_present_when_anything_is(logits: list[float], thresholds: list[float]) -> None:
    """The verdict's threshold is one, for `abnormal` and for `unusual`."""
    labels = (*KINDS, ABNORMAL, UNUSUAL)
    levels = dict(zip(labels, (*thresholds, 1.0), strict=True))
    given_scores = scores(levels, **dict(zip(labels, logits, strict=True)))
    found = {finding.label: finding for finding in findings(given_scores, {})}
    assert found[ABNORMAL].present == bool(given_scores.present())
    assert list(found) == [*KINDS, ABNORMAL]
    told = {kind for kind in KINDS if found[kind].present}
    assert told == set(given_scores.present()) - {ABNORMAL, UNUSUAL}
    if not told:
        assert found[ABNORMAL].probability == max(given_scores.probability(label) for label in (ABNORMAL, UNUSUAL))
    else:
        highest = max(found[kind].probability for kind in told)
        assert found[ABNORMAL].threshold <= found[ABNORMAL].probability <= max(found[ABNORMAL].threshold, highest)


def test_the_most_urgent_comes_first() -> None:
    assert scores(nodule=3, opacity=3, emphysema=9, unusual=9, abnormal=8).present() == (
        "opacity", "nodule", "emphysema", "abnormal", "unusual")


@pytest.mark.parametrize("speaker", [ABNORMAL, UNUSUAL])
def test_either_of_the_two_alone_makes_pathology(speaker: str) -> None:
    result = decide(findings(scores({}, **{speaker: 2.0}), {}), MEASURED, (), (), WHO, ("1.2",))
    assert result.verdict is Verdict.PATHOLOGY
    assert [f.label for f in result.findings if f.present] == [ABNORMAL]
    assert result.risk == pytest.approx(0.5 * result.findings[-1].probability)
    assert "Any abnormality of the lungs" in result.summary


def test_doubt_keeps_from_normal_and_is_told() -> None:
    doubt, note = Problem("gap", "About 2 slices are missing."), Problem("gantry-tilt", "Tilted.")
    normal = decide(findings(scores(), {}), MEASURED, (note,), (), WHO, ("1.2",))
    assert normal.verdict is Verdict.NORMAL
    assert normal.problems == (note,)
    doubted = decide(findings(scores(), {}), MEASURED, (doubt, note), (doubt,), WHO, ("1.2",))
    assert doubted.verdict is Verdict.UNDETERMINED
    assert doubted.problems == (doubt, note)
    assert "missing" in doubted.summary
    assert decide(findings(scores(effusion=4), {}), MEASURED, (doubt,), (doubt,), WHO,
                  ("1.2",)).verdict is Verdict.UNDETERMINED
    cut = Problem("lungs-cut-off", "The lung bases are not in the pictures.")
    assert decide(findings(scores(effusion=4), {}), MEASURED, (cut,), (cut,), WHO,
                  ("1.2",)).verdict is Verdict.PATHOLOGY


def test_the_summary_names_findings_and_measures() -> None:
    result = decide(findings(scores(effusion=4, nodule=1), {}), MEASURED, (), (), WHO, ("1.2",))
    assert result.summary == ("Pleural effusion (probability 0.98); Nodule or mass (probability 0.73). "
                              "Lung volume 5000 mL, mean density -820 HU.")


def test_undetermined_says_why() -> None:
    result = undetermined((Problem("no-lungs", "No lungs were found."),), ("1.2",), WHO)
    assert result.verdict is Verdict.UNDETERMINED
    assert result.risk == 0
    assert result.summary == "The chest CT could not be read. No lungs were found."


def test_the_specific_finding_is_named_before_the_overall_one() -> None:
    """Also where the autoencoder is surer than the classifier: lists sort by probability and keep the order of ties."""
    found = findings(scores(nodule=1, unusual=6), {})
    shown = sorted((f for f in found if f.present), key=lambda f: -f.probability)
    assert [f.label for f in shown] == ["nodule", ABNORMAL]


def test_the_sixteen_findings_have_codes_of_their_own_and_all_columns_of_both_data_sets() -> None:
    codes = [label.code for label in LABELS]
    assert len({code.value for code in codes}) == len(codes) == 17
    assert sum(code.scheme == "SCT" and code.value.isdigit() for code in codes) == 15
    assert all(0 < label.acuity <= 1 for label in LABELS)
    assert len({column for label in LABELS for column in label.columns}) == 17
    assert all(label.columns for label in FINDINGS)


def test_a_model_says_which_findings_it_has_learned() -> None:
    def release(labels: str) -> ModelRelease:
        return ModelRelease("m", "1", "", demonstration=True, parameters={"labels": labels})

    assert [label.name for label in learned(release("nodule,atelectasis"))] == ["nodule", "atelectasis"]
    assert [label.name for label in learned(release("nodule,abnormal"))] == ["nodule", ABNORMAL]
    for wrong in ("", "nodule,dragons"):
        with pytest.raises(Permanent, match="other labels"):
            learned(release(wrong))
