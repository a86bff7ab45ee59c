"""UPS Pull with pynetdicom as the one who asks: C-FIND, C-CANCEL, N-GET, refused claims, beside C-STORE and MPPS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, Association, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
)

from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.services import Service
from adapters.dicom.transport.ups_scp import UpsScp
from adapters.dicom.transport.workitems import Workitems
from adapters.files.store import FileObjectStore
from gateway.errors import Transient
from gateway.identity import workitem_uid
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import part10_bytes, slice_dataset
from tests.peers.gateway_process import await_that
from tests.unit.test_ups import COMING, LINES, SICK, WELL, Held, Worklist

pytestmark = pytest.mark.peer


class Unreachable(Worklist):
    def worklist(self, *_: Any, **__: Any) -> Any:
        raise Transient("the database did not answer")


class UntilCancelled(Worklist):
    """Its second page comes when the peer's C-CANCEL has: a peer that is sent thousands of matches reads before it
    sends."""

    pages = 0

    def worklist(self, *asked: Any, **named: Any) -> Any:
        self.pages += 1
        if self.pages == 2:
            await_that(_cancelled, 20, "the C-CANCEL has come")
        return super().worklist(*asked, **named)


def _cancelled() -> bool:
    return any(isinstance(thread, Association) and thread.is_acceptor and bool(thread.dimse.cancel_req)
               for thread in threading.enumerate())


@contextmanager
def served(folder: Path, worklist: Worklist) -> Iterator[int]:
    created = Service([str(ModalityPerformedProcedureStep)], [(evt.EVT_N_CREATE, lambda event: (0x0000, Dataset())),
                                                             (evt.EVT_N_SET, lambda event: (0x0000, Dataset()))])
    server = DicomServer(DicomSettings(port=0), StoreIntake(FileObjectStore(folder / "objects", 0)),
                         [created, UpsScp(Workitems(worklist, Held())).service()])
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@contextmanager
def association(port: int, *classes: Any) -> Iterator[Any]:
    entity = AE("SCU")
    for uid in classes or (UnifiedProcedureStepPull,):
        entity.add_requested_context(uid)
    made = entity.associate("127.0.0.1", port)
    assert made.is_established
    try:
        yield made
    finally:
        made.release()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with served(tmp_path, Worklist()) as number:
        yield number


def query(**attributes: Any) -> Dataset:
    asked = Dataset()
    for keyword in ("SOPInstanceUID", "ScheduledProcedureStepPriority", "ProcedureStepState", "PatientName",
                    "PatientID", "ProcedureStepLabel"):
        setattr(asked, keyword, attributes.pop(keyword, ""))
    for keyword, value in attributes.items():
        setattr(asked, keyword, value)
    return asked


def found(port: int, asked: Dataset, model: Any = UnifiedProcedureStepPull) -> list[Dataset]:
    with association(port, model) as made:
        *pending, (status, _) = list(made.send_c_find(asked, model))
        assert status.Status == 0x0000
        assert all(s.Status == 0xFF00 for s, _ in pending)
        return [identifier for _, identifier in pending]


@pytest.mark.parametrize("model", [UnifiedProcedureStepPull, UnifiedProcedureStepQuery])
def test_a_query_gets_the_worklist_in_its_order(port: int, model: Any) -> None:
    told = found(port, query(), model)
    assert [t.SOPInstanceUID for t in told] == [workitem_uid(c.case_id) for c in LINES]
    assert told[0].ScheduledProcedureStepPriority == "HIGH"
    assert told[0].PatientName == SICK.patient_name
    assert "WorklistLabel" not in told[0], "only what was asked for"


def test_matching_keys_and_sequences(port: int) -> None:
    request = Dataset()
    request.AccessionNumber, request.RequestedProcedureID = WELL.accession_number, ""
    (told,) = found(port, query(ReferencedRequestSequence=[request]))
    assert told.PatientID == WELL.patient_id
    assert told.ReferencedRequestSequence[0].StudyInstanceUID == WELL.study_instance_uid
    high = found(port, query(ProcedureStepState="SCHEDULED", ScheduledProcedureStepPriority="MEDIUM",
                             InputInformationSequence=[]))
    assert high[1].SOPInstanceUID == workitem_uid(COMING.case_id)
    assert [len(i.ReferencedSOPSequence) for i in high[1].InputInformationSequence] == [2, 1]
    assert found(port, query(PatientName="Nobody*")) == []


def test_cyrillic_names_arrive(tmp_path: Path) -> None:
    with served(tmp_path, Worklist([replace(SICK, patient_name="Иванова^Анна")])) as port:
        (told,) = found(port, query(PatientName="*"))
        assert told.PatientName == "Иванова^Анна"


def test_a_query_is_broken_off_when_cancelled(tmp_path: Path) -> None:
    many = [replace(WELL, case_id=f"{n:020x}") for n in range(3000)]
    with served(tmp_path, UntilCancelled(many, page=200)) as port, association(port) as made:
        statuses = []
        for status, _ in made.send_c_find(query(), UnifiedProcedureStepPull, msg_id=7):
            if not statuses:
                made.send_c_cancel(7, query_model=UnifiedProcedureStepPull)
            statuses.append(status.Status)
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 3000


def test_one_workitem_and_some_of_its_attributes(port: int) -> None:
    with association(port) as made:
        status, told = made.send_n_get([0x00741200, 0x00100020], UnifiedProcedureStepPush, workitem_uid(SICK.case_id),
                                       meta_uid=UnifiedProcedureStepPull)
        assert status.Status == 0x0000
        assert {e.keyword for e in told} == {"ScheduledProcedureStepPriority", "PatientID"}
        _, whole = made.send_n_get(None, UnifiedProcedureStepPush, workitem_uid(SICK.case_id),
                                   meta_uid=UnifiedProcedureStepPull)
        assert len(whole.InputInformationSequence) == 2
        status, _ = made.send_n_get(None, UnifiedProcedureStepPush, "1.2.3", meta_uid=UnifiedProcedureStepPull)
        assert status.Status == 0xC307


def test_claims_are_refused_in_words(port: int) -> None:
    claim = Dataset()
    claim.TransactionUID, claim.ProcedureStepState = "1.2.3.4", "IN PROGRESS"
    with association(port) as made:
        for uid, expected in ((workitem_uid(SICK.case_id), 0x0124), ("1.2.3", 0xC307)):
            status, _ = made.send_n_action(claim, 1, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull)
            assert status.Status == expected
            status, _ = made.send_n_set(claim, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull)
            assert status.Status == expected
        assert list(made.send_c_find(query(PatientID="P00001"), UnifiedProcedureStepPull))[-1][0].Status == 0x0000


def test_other_services_of_the_receiver_are_not_disturbed(port: int) -> None:
    with association(port, CTImageStorage, ModalityPerformedProcedureStep, UnifiedProcedureStepPull) as made:
        assert made.send_c_store(dcmread(BytesIO(part10_bytes(slice_dataset())))).Status == 0x0000
        status, _ = made.send_n_create(query(PatientID="P1"), ModalityPerformedProcedureStep, "1.2.3")
        assert status.Status == 0x0000
        assert len(list(made.send_c_find(query(), UnifiedProcedureStepPull))) == len(LINES) + 1


def test_bad_queries_and_a_database_away_are_refused(tmp_path: Path, port: int) -> None:
    with association(port) as made:
        bad = query(ScheduledProcedureStepStartDateTime="yesterday")
        assert [s.Status for s, _ in made.send_c_find(bad, UnifiedProcedureStepPull)] == [0xA900]
        assert list(made.send_c_find(query(), UnifiedProcedureStepPull))[-1][0].Status == 0x0000
    with served(tmp_path / "other", Unreachable()) as away, association(away) as made:
        assert [s.Status for s, _ in made.send_c_find(query(), UnifiedProcedureStepPull)] == [0xA700]
