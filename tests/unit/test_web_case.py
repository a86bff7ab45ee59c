"""What the case page works out before it is drawn: sentences, feedback from a form, how far deliveries have come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from starlette.datastructures import FormData

from adapters.web.catalogue import texts
from adapters.web.pages_case import feedback_of, measurements_of, sentence_of, worst_by_destination
from gateway.errors import Unusable
from gateway.feedback import Feedback, Opinion
from gateway.result import Verdict


@pytest.mark.parametrize(("language", "finding", "sentence"), [
    ("en", (0.934, 0.41), "The model gives 0.93; from 0.41 it counts as present."),
    ("en", (0.08, 0.5), "The model gives 0.08; from 0.50 it would count as present."),
    ("en", (0.4979, 0.5), "The model gives 0.498; from 0.500 it would count as present."),
    ("en", (0.5, 0.5), "The model gives 0.50; from 0.50 it counts as present."),
    ("ru", (0.934, 0.41), "Оценка модели 0.93; признак считается найденным от 0.41."),
    ("ru", (0.08, 0.5), "Оценка модели 0.08; признак считался бы найденным от 0.50."),
])
def test_a_finding_in_a_sentence(language: str, finding: tuple[float, float], sentence: str) -> None:
    probability, threshold = finding
    form = {"probability": probability, "threshold": threshold, "present": probability >= threshold}
    assert sentence_of(form, texts(language)) == sentence


def test_a_form_becomes_feedback() -> None:
    form = FormData([("run_id", "r"), ("finding.AFIB", "agree"), ("finding.PVC", "disagree"), ("finding.PAC", ""),
                     ("verdict", "normal"), ("comment", "artefact"), ("given_by", " Dr. A "), ("other", "x")])
    assert feedback_of("c", form, "127.0.0.1") == Feedback(
        "c", "Dr. A", "r", {"AFIB": Opinion.AGREE, "PVC": Opinion.DISAGREE}, Verdict.NORMAL, "artefact")


def test_without_a_name_it_is_the_askers() -> None:
    assert feedback_of("c", FormData([("comment", "x"), ("given_by", " ")]), "127.0.0.1").given_by == "127.0.0.1"


@pytest.mark.parametrize("fields", [
    [], [("finding.AFIB", "")], [("finding.AFIB", "perhaps")], [("verdict", "sick")], [("comment", "x" * 5000)]])
def test_a_form_that_says_nothing_or_nonsense_is_refused(fields: Sequence[tuple[str, str]]) -> None:
    with pytest.raises(Unusable):
        feedback_of("c", FormData([*fields]), "127.0.0.1")


@pytest.mark.parametrize(("states", "worst"), [
    (["delivered", "delivered"], "delivered"), (["delivered", "pending"], "pending"), (["dead", "pending"], "dead"),
    (["unproven", "delivered"], "unproven")])
def test_a_destination_is_as_far_as_its_slowest_document(states: list[str], worst: str) -> None:
    ledger: list[dict[str, Any]] = [{"destination": "EHR", "state": state} for state in states]
    assert worst_by_destination([*ledger, {"destination": "PACS", "state": "delivered"}]) == {
        "EHR": worst, "PACS": "delivered"}


def measured(code: str, value: float, unit: tuple[str, str], **told: str) -> dict[str, Any]:
    return {"code": {"meaning": code}, "value": value, "unit": {"value": unit[0], "meaning": unit[1]}, **told}


def test_what_several_findings_rest_on_is_shown_once_and_with_a_short_unit() -> None:
    rate = measured("Heart rate", 70.0, ("{H.B.}/min", "heart beats per minute"))
    axis = measured("QRS axis", 61.0, ("deg", "degrees"))
    other_rate = measured("Heart rate", 71.0, ("{H.B.}/min", "heart beats per minute"), unit_display="уд/мин",
                          display="Частота сокращений")
    share = measured("Share", 0.5, ("1", "no units"), unit_display="")
    findings = [{"measurements": [rate, axis]}, {"measurements": [rate, other_rate, share]}]
    assert [f"{x['name']} {x['value']:g}{x['unit']}" for x in measurements_of([rate], findings)] == [
        "Heart rate 70/min", "QRS axis 61°", "Частота сокращений 71 уд/мин", "Share 0.5"]
