"""Procedure steps and availability notifications over the wire, from pynetdicom, into a real database."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.dsutils import encode

from adapters.database.connection import migrate, open_database
from adapters.database.evidence import DatabaseEvidence, evidence_of
from adapters.database.tables import evidence as rows
from adapters.dicom.content import mpps
from adapters.dicom.content.attributes import Refused, is_uid
from adapters.dicom.transport.mpps import StepScp
from adapters.dicom.transport.scp import DicomServer
from adapters.files.store import FileObjectStore
from gateway.completion import Evidence, EvidenceKind, State
from gateway.errors import Transient
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.peers.modality import IAN, STEP, Modality, created, dataset, ended, notified

pytestmark = pytest.mark.peer
STUDY, OTHER = "1.2.3", "1.2.4"
AWAY = "It could not be kept; try again later."


class Desk:
    """A receiver with a real evidence log, that can lose its database."""

    def __init__(self, folder: Path) -> None:
        self.database = open_database(f"sqlite:///{folder / 'gateway.sqlite'}")
        migrate(self.database)
        self.log = DatabaseEvidence(self.database, "SITE", lambda: None)
        self.down = False
        self.server = DicomServer(DicomSettings(port=0), StoreIntake(FileObjectStore(folder / "objects", 0)),
                                  [StepScp(self).service()])

    def create(self, said: Sequence[Evidence]) -> bool:
        if self.down:
            raise Transient("the database did not answer")
        return self.log.create(said)

    def amend(self, *asked: Any) -> bool:
        return self.log.amend(*asked)

    def kept(self) -> list[Evidence]:
        with self.database.connect() as connection:
            return [evidence_of(row) for row in connection.execute(sa.select(rows).order_by(rows.c.id))]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    found.server.start()
    yield found
    found.server.stop()
    found.database.dispose()


@pytest.fixture
def scanner(desk: Desk) -> Modality:
    return Modality(desk.server.port)


def test_a_step_from_its_beginning_to_its_end(desk: Desk, scanner: Modality) -> None:
    assert scanner.create(created(STUDY, OTHER), "1.9")[0].Status == 0
    assert {(e.study_instance_uid, e.state, e.sender, e.studies) for e in desk.kept()} == {
        (study, State.OPEN, "CT1", (STUDY, OTHER)) for study in (STUDY, OTHER)}
    again = scanner.create(created(STUDY), "1.9")[0]
    assert (again.Status, again.ErrorComment) == (0x0111, "This SOP Instance is known already.")
    assert scanner.set({"PerformedProcedureStepDescription": "late"}, "1.9").Status == 0
    assert scanner.set(ended({"1.3": ["1.3.1", "1.3.2"], "1.4": ["1.4.1"]}), "1.9").Status == 0
    assert [(e.state, e.listed) for e in desk.kept()] == [
        (State.ENDED, {"1.3": frozenset({"1.3.1", "1.3.2"}), "1.4": frozenset({"1.4.1"})})] * 2
    closed = scanner.set(ended({}), "1.9")
    assert (closed.Status, closed.ErrorID) == (0x0110, 0xA710)
    assert "may no longer be updated" in closed.ErrorComment
    assert scanner.set(ended({}), "1.99").Status == 0x0112


def test_a_notification_lists_what_can_be_had(desk: Desk, scanner: Modality) -> None:
    assert scanner.create(notified(STUDY, {"1.3": ["1.3.1"]}), "1.9", sop_class=IAN)[0].Status == 0
    assert scanner.create(notified(STUDY, {"1.3": ["1.3.2"]}, "UNAVAILABLE"), "1.10", sop_class=IAN)[0].Status == 0
    assert [(e.kind, e.instances) for e in desk.kept()] == [(EvidenceKind.IAN, frozenset({"1.3.1"}))]
    assert scanner.create(notified(STUDY, {"1.3": ["1.3.1"]}), "1.9", sop_class=IAN)[0].Status == 0x0111
    assert scanner.set(ended({}), "1.9").Status == 0x0112


def test_an_identity_is_chosen_where_the_peer_leaves_it_open(desk: Desk, scanner: Modality) -> None:
    assert scanner.create(created(STUDY), None)[0].Status == 0
    (kept,) = desk.kept()
    assert is_uid(kept.identity)
    assert scanner.set(ended({"1.3": ["1.3.1"]}), kept.identity).Status == 0


@pytest.mark.parametrize(("attributes", "status"), [
    (created(STUDY, status="COMPLETED"), 0x0106), (created(STUDY, status=""), 0x0121), (created(), 0x0121),
    ({"PerformedProcedureStepStatus": "IN PROGRESS"}, 0x0120),
    ({"ScheduledStepAttributesSequence": [{"StudyInstanceUID": STUDY}]}, 0x0120),
    ({**created(STUDY), "ScheduledStepAttributesSequence": [{"AccessionNumber": "A"}]}, 0x0120),
    ({**created(STUDY), "ScheduledStepAttributesSequence": [{"StudyInstanceUID": ""}]}, 0x0121),
    ({**created(STUDY), "PerformedSeriesSequence": [{"SeriesDescription": "no UID"}]}, 0x0120),
])
def test_steps_that_lack_something_are_refused_with_the_status_that_says_what(
        desk: Desk, scanner: Modality, attributes: dict[str, Any], status: int) -> None:
    answer = scanner.create(attributes, "1.9")[0]
    assert answer.Status == status
    assert answer.ErrorComment
    assert desk.kept() == []
    assert scanner.create(created(STUDY), "1.9")[0].Status == 0


@pytest.mark.parametrize(("attributes", "status"), [
    ({"StudyInstanceUID": STUDY}, 0x0120), (notified("", {"1.3": ["1"]}), 0x0121), (notified(STUDY, {}), 0x0121),
    (notified(STUDY, {"1.3": []}), 0x0121), (notified(STUDY, {"1.3": ["1"]}, "MAYBE"), 0x0106),
])
def test_notifications_that_lack_something_are_refused(desk: Desk, scanner: Modality, attributes: dict[str, Any],
                                                       status: int) -> None:
    assert scanner.create(attributes, "1.9", sop_class=IAN)[0].Status == status
    assert desk.kept() == []


def test_a_data_set_that_is_cut_short_is_not_taken_for_a_whole_one(desk: Desk) -> None:
    whole = encode(dataset({**created(STUDY), **ended({"1.3": ["1.3.1", "1.3.2"]}, "IN PROGRESS")}), True, True)
    for content in (whole[:-7], whole[:len(whole) // 2 + 1], bytes(range(256)), whole[:40] * 9):
        assert sent_as_it_is(desk.server.port, content) in (0x0110, 0x0120)
    assert desk.kept() == []
    assert sent_as_it_is(desk.server.port, whole) == 0


def sent_as_it_is(port: int, content: bytes) -> int:
    """Status of an N-CREATE with these bytes as its data set (implicit VR little endian)."""
    entity = AE(ae_title="CT1")
    entity.add_requested_context(STEP, ImplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port)
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = 1, UID(STEP), UID("1.9")
    request.AttributeList = BytesIO(content)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    association.bind(evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set.Status))
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    status = int(answers.get(timeout=20))
    association.abort()
    return status


def test_nothing_is_confirmed_that_is_not_kept(desk: Desk, scanner: Modality) -> None:
    desk.down = True
    answer = scanner.create(created(STUDY), "1.9")[0]
    assert (answer.Status, answer.ErrorComment) == (0x0213, AWAY)
    desk.down = False
    assert scanner.create(created(STUDY), "1.9")[0].Status == 0


def test_of_two_that_create_the_same_step_at_once_one_is_refused(desk: Desk, scanner: Modality) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(scanner.create(created(STUDY), "1.9")[0].Status))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 0x0111, 0x0111, 0x0111]


def test_values_that_are_none_of_their_kind_are_refused() -> None:
    for keyword, value in (("StudyInstanceUID", "not a UID"), ("StudyInstanceUID", "1" * 65)):
        made = dataset(created(STUDY))
        made.ScheduledStepAttributesSequence[0][keyword].value = value
        with pytest.raises(Refused) as refused:
            mpps.created("1.9", "CT1", datetime.now(UTC), made)
        assert refused.value.status == 0x0106
    assert mpps.performed(Dataset()) is None
    assert STEP == mpps.SOP_CLASS
