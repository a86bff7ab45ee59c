"""What every encoder promises (gateway.documents.Encoder): one suite for all document kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from gateway.case import Completeness, Reading
from gateway.delivery import Document, Kind
from gateway.documents import Disagreement, require_agreement
from gateway.errors import GatewayError
from gateway.pipeline import EcgSheet, KeyImage, Picture
from gateway.result import Verdict
from tests import builders
from tests.builders import reading
from tests.contract.encoders import FORGERIES, SUBJECTS, Subject

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def anonymous() -> Reading:
    who = builders.patient(patient_id="", issuer="", name="", birth_date="", sex="")
    return reading("ct", study=builders.study("ct", of=who, study_uid="1.2.3.4", accession_number="", order=None,
                                              tags={"StudyDate": "", "ReferringPhysicianName": None}))


def named(name: str) -> Callable[[], Reading]:
    return lambda: reading("ecg", study_fields={"of": builders.patient(name=name)})


READINGS: dict[str, Callable[[], Reading]] = {
    **{f"{kind}-{verdict}": lambda kind=kind, verdict=verdict: reading(kind, verdict)
       for kind in ("ct", "ecg") for verdict in ("normal", "pathology", "undetermined")},
    "cyrillic": named("Иванова^Анна^Сергеевна"),
    "chinese": named("Wang^XiaoDong=王^小东"),
    "anonymous": anonymous,
    "no-accession-number": lambda: reading("ct", study_fields={"accession_number": "", "order": None}),
    "no-findings": lambda: reading("ct", "undetermined", findings=(),
                                   result_fields={"measurements": (), "evidence": ()}),
    "partial": lambda: reading("ct", completeness=Completeness.PARTIAL),
    "russian": lambda: reading("ecg", "undetermined", language="ru"),
    "no-model": lambda: reading("ct", result_fields={"provenance": builders.Provenance("chest_ct", "1.0.0")}),
    "300-slices": lambda: reading("ct", study_fields={"instances": 300}),
}


def picture_for(of: Reading) -> Picture:
    if of.result.provenance.pipeline.startswith("ecg"):
        rng = np.random.default_rng(7)
        return EcgSheet(rng.normal(0, 0.2, (12, 1000)).astype(np.float32), 100.0, LEADS)
    return KeyImage(np.full((64, 64), 90, np.uint8), np.zeros((64, 64), np.float32), "slice 31 of 64")


def encoded(subject: Subject, of: Reading, picture: Picture | None = None) -> Document:
    encoder = subject.build()
    document = encoder.encode(of, picture or picture_for(of), "RIS" if encoder.per_destination else "")
    assert document is not None
    return document


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    told: Subject = request.param
    return told


@pytest.mark.parametrize("name", READINGS)
def test_reads_back_as_it_was_told(subject: Subject, name: str) -> None:
    of = READINGS[name]()
    document = encoded(subject, of)
    claims = subject.build().read_back(document)
    assert claims.kind is document.kind is subject.build().kind
    require_agreement(of, [claims])
    if subject.name != "sc":
        assert claims.verdict == of.result.verdict.value
        assert claims.findings is not None


@pytest.mark.parametrize("name", ["ct-pathology", "ecg-undetermined", "cyrillic"])
def test_the_same_reading_gives_the_same_bytes(subject: Subject, name: str) -> None:
    assert encoded(subject, READINGS[name]()) == encoded(subject, READINGS[name]())


def test_no_clock_enters_the_bytes(subject: Subject) -> None:
    """A retry next week sends the same bytes: times come from the run and the study, none from now."""
    long_ago = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    of = reading("ct", run_fields={"created_at": long_ago}, study_fields={"tags": {"StudyDate": "20010203"}})
    content = encoded(subject, of).content
    today = {moment.strftime(form).encode() for moment in (datetime.now(UTC), datetime.now()) for form in
             ("%Y%m%d", "%Y-%m-%d")}
    assert not {date for date in today if date in content}
    assert b"20010203" in content or b"2001-02-03" in content


@pytest.mark.parametrize(("forged", "what", "old", "new"), FORGERIES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_lie_in_the_bytes_is_caught(forged: Subject, what: str, old: bytes, new: bytes) -> None:
    of = reading("ct", "pathology")
    document = encoded(forged, of)
    assert old in document.content
    lie = replace(document, content=document.content.replace(old, new))
    with pytest.raises(GatewayError):
        require_agreement(of, [forged.build().read_back(lie)])


def other_verdict(of: Reading) -> Reading:
    problems = tuple(builders.problems("gap"))
    return replace(of, result=replace(of.result, verdict=Verdict.UNDETERMINED, problems=problems))


def other_probability(of: Reading) -> Reading:
    first, *others = of.result.findings
    return replace(of, result=replace(of.result, findings=(replace(first, probability=0.7), *others)))


def missing_finding(of: Reading) -> Reading:
    return replace(of, result=replace(of.result, findings=of.result.findings[:-1]))


def other_patient(of: Reading) -> Reading:
    return replace(of, study=replace(of.study, patient=builders.patient(patient_id="P-2")))


def other_study(of: Reading) -> Reading:
    return replace(of, study=replace(of.study, study_instance_uid="1.2.3"))


@pytest.mark.parametrize("change", [other_verdict, other_probability, missing_finding, other_patient, other_study])
def test_a_document_of_another_result_is_not_released(subject: Subject, change: Callable[[Reading], Reading]) -> None:
    of = reading("ct", "pathology")
    claims = subject.build().read_back(encoded(subject, change(of)))
    if claims.findings is None and change in (other_probability, missing_finding):
        require_agreement(of, [claims])  # It says nothing of single findings, so it cannot disagree.
    else:
        with pytest.raises(Disagreement):
            require_agreement(of, [claims])


@pytest.mark.parametrize("name", ["ct-undetermined", "ecg-undetermined", "no-findings", "russian"])
def test_undetermined_never_reads_as_normal(subject: Subject, name: str) -> None:
    document = encoded(subject, READINGS[name]())
    assert subject.build().read_back(document).verdict == "undetermined"
    assert b"17621005" not in document.content, "SNOMED CT Normal"


@pytest.mark.parametrize(("name", "held"), [("cyrillic", "Иванова"), ("chinese", "王")])
def test_names_survive_as_unicode(subject: Subject, name: str, held: str) -> None:
    assert held.encode() in encoded(subject, READINGS[name]()).content


@pytest.mark.parametrize("kind", ["ct", "ecg"])
def test_no_picture_gives_a_document_or_none(subject: Subject, kind: str) -> None:
    encoder, of = subject.build(), reading(kind)
    document = encoder.encode(of, None, "")
    if document is not None:
        require_agreement(of, [encoder.read_back(document)])


def test_a_new_run_gets_a_new_identity_and_a_retry_the_same(subject: Subject) -> None:
    of = reading("ct")
    later = replace(of, run=replace(of.run, run_id="0" * 24, number=2, predecessor_run_id=of.run.run_id,
                                    predecessor_sr_uid="2.25.1", created_at=of.run.created_at + timedelta(hours=1)))
    first, second = encoded(subject, of), encoded(subject, later)
    assert first.content != second.content
    if first.kind is not Kind.DIAGNOSTIC_REPORT:  # Updated in place: its identifier belongs to the case.
        assert first.identity != second.identity


def test_a_partial_study_is_told(subject: Subject) -> None:
    whole, partial = reading("ct"), reading("ct", completeness=Completeness.PARTIAL)
    assert encoded(subject, whole).content != encoded(subject, partial).content


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"{}", b"MSH|", b"[1", bytes(range(256))])
def test_other_bytes_are_refused_with_our_own_error(subject: Subject, content: bytes) -> None:
    document = replace(encoded(subject, reading("ct")), content=content)
    with pytest.raises(GatewayError):
        subject.build().read_back(document)


def test_every_kind_that_is_made_of_a_result_has_an_encoder() -> None:
    kinds: set[Any] = {subject.build().kind for subject in SUBJECTS}
    assert kinds == {Kind.SR, Kind.SC, Kind.ORU, Kind.DIAGNOSTIC_REPORT, Kind.JSON}
