"""Storage commitment asked of the gateway: by pynetdicom, well and badly behaved, and by Orthanc."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dul import DULServiceProvider

from adapters.dicom.content import commitment as content
from adapters.dicom.content.upper_layer import C_STORE_RSP, RELEASE_RP
from adapters.dicom.transport.scu import send_files
from gateway.commitment import Reference, Report, Request
from tests.dicom_objects import SERIES, part10_bytes, slice_dataset
from tests.peers.crossing import N_ACTION_RSP, crossing
from tests.peers.dcmtk import free_port
from tests.peers.receiving_half import ReceivingHalf, receiving_half

pytestmark = pytest.mark.peer
MR = "1.2.840.10008.5.1.4.1.1.4"


@dataclass
class Modality:
    """A pynetdicom SCU of storage and storage commitment. `status`: how it answers reports."""

    port: int
    status: int = 0
    reports: queue.Queue[Report] = field(default_factory=queue.Queue)
    """Those that it has answered: an association must not be released while an answer is on its way."""
    heard: queue.Queue[Report] = field(default_factory=queue.Queue)
    silent: threading.Event = field(default_factory=threading.Event)
    """Set: reports are not answered until it is cleared by the end of the test."""

    def handlers(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        return [(evt.EVT_N_EVENT_REPORT, self._hear), (evt.EVT_DIMSE_SENT, self._answered)]

    def _hear(self, event: Any) -> tuple[int, None]:
        self.heard.put(content.read_report(event.event_information))
        return self.status, None

    def _answered(self, event: Any) -> None:
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            self.reports.put(self.heard.get(timeout=10))

    @contextmanager
    def calling(self, gateway: ReceivingHalf) -> Iterator[Any]:
        entity = AE(ae_title="CT1")
        entity.dimse_timeout = 10
        association = entity.associate(
            "127.0.0.1", gateway.server.port,
            [build_context(content.SOP_CLASS), build_context(CTImageStorage, ExplicitVRLittleEndian)],
            evt_handlers=self.handlers())
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()


@contextmanager
def modality(listening: bool = True) -> Iterator[Modality]:
    """`listening`: takes reports on associations of the gateway as well."""
    told = Modality(free_port())
    if not listening:
        yield told
        return
    entity = AE(ae_title="CT1")
    context = build_context(content.SOP_CLASS)
    context.scu_role = context.scp_role = True
    entity.supported_contexts = [context]
    server = entity.start_server(("127.0.0.1", told.port), block=False, evt_handlers=told.handlers())
    try:
        yield told
    finally:
        server.shutdown()


def at(peer: Modality) -> dict[str, Any]:
    return {"dicom": {"peers": {"CT1": {"host": "127.0.0.1", "port": peer.port}}}}


def ct(number: int) -> Reference:
    return Reference(str(CTImageStorage), f"{SERIES}.{number}")


def ask(association: Any, *references: Reference, transaction: str = "", action: int = 1,
        instance: str = content.SOP_INSTANCE) -> int:
    dataset = content.request_dataset(transaction or generate_uid(), references)
    status, _ = association.send_n_action(dataset, action, content.SOP_CLASS, instance)
    return int(status.Status)


def stored(gateway: ReceivingHalf, *numbers: int) -> list[str]:
    return [gateway.take(part10_bytes(slice_dataset(number))) for number in numbers]


@pytest.mark.slow
def test_what_receiver_processes_have_just_stored_is_committed_to(tmp_path: Path) -> None:
    paths = []
    for number in range(1, 13):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(part10_bytes(slice_dataset(number)))
    with modality() as peer, receiving_half(tmp_path / "half", **(at(peer) | {
            "dicom": at(peer)["dicom"] | {"processes": 2}})) as gateway:
        assert not send_files("127.0.0.1", gateway.server.port, "CT1", "TRIAGE", paths).failures
        with peer.calling(gateway) as association:
            assert ask(association, *map(ct, range(1, 13))) == 0
            report = peer.reports.get(timeout=20)
    assert (len(report.committed), list(report.failed)) == (12, [])


def test_what_is_here_is_committed_to_on_the_same_association(tmp_path: Path) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        stored(gateway, 1, 2)
        assert ask(association, ct(1), ct(2), transaction="1.2.3") == 0
        report = peer.reports.get(timeout=60)
        assert report == Report("1.2.3", (ct(1), ct(2)))
        assert gateway.await_shown(lambda row: row["state"] == "reported")["objects"] == 2
        assert gateway.asked == [("1.2.3", "CT1", [ct(1).sop_instance_uid, ct(2).sop_instance_uid])]


@pytest.mark.parametrize("ahead", [0, 8])
def test_a_report_crosses_objects_that_are_still_sent(tmp_path: Path, ahead: int,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """`ahead`: how many requests of the peer's are not answered yet when it sends the next. The gateway is made slow
    between two PDUs: many objects come meanwhile."""
    send = DULServiceProvider._send

    def slowly(self: DULServiceProvider, pdu: Any) -> None:
        send(self, pdu)
        time.sleep(0.02)

    monkeypatch.setattr(DULServiceProvider, "_send", slowly)
    with receiving_half(tmp_path) as gateway, crossing(gateway.server.port) as peer:
        peer.send(part10_bytes(slice_dataset(1)))
        peer.ask(ct(1))
        sent = 1
        while not peer.reports or sent < 90:
            sent += 1
            peer.send(part10_bytes(slice_dataset(sent)))
            peer.hear(sent + 1 - ahead)
        peer.hear(sent + 1)
        assert peer.answered == {(C_STORE_RSP, 0): sent, (N_ACTION_RSP, 0): 1}
        assert [report.committed for report in peer.reports] == [(ct(1),)]
        assert peer.release() == RELEASE_RP


def whole(number: int) -> Dataset:
    return dcmread(BytesIO(part10_bytes(slice_dataset(number))))


def test_a_peer_that_leaves_is_told_on_an_association_of_our_own(tmp_path: Path) -> None:
    with modality() as peer, receiving_half(tmp_path, **at(peer)) as gateway:
        stored(gateway, 1)
        with peer.calling(gateway) as association:
            assert ask(association, ct(1)) == 0
        assert peer.reports.get(timeout=60).committed == (ct(1),)
        gateway.await_shown(lambda row: row["state"] == "reported")


def test_what_is_not_here_or_not_what_it_was_is_refused_each_with_its_reason(tmp_path: Path) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        paths = stored(gateway, 1, 2, 3, 4)
        Path(paths[1]).unlink()
        with Path(paths[2]).open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        other_class = Reference(MR, ct(4).sop_instance_uid)
        assert ask(association, ct(1), ct(2), ct(3), other_class, ct(9)) == 0
        report = peer.reports.get(timeout=60)
        assert report.committed == (ct(1),)
        assert {(one.reference, one.reason) for one in report.failed} == {
            (ct(2), 0x0110), (ct(3), 0x0110), (other_class, 0x0119), (ct(9), 0x0112)}


def test_an_object_that_arrives_a_moment_later_is_committed_to(tmp_path: Path) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        assert ask(association, ct(1)) == 0
        assert association.send_c_store(whole(1)).Status == 0
        assert peer.reports.get(timeout=60).committed == (ct(1),)


@pytest.mark.parametrize(("changes", "status"), [
    ({"action": 2}, 0x0123), ({"instance": "1.2.3"}, 0x0112), ({"transaction": "not a uid"}, 0x0115)])
def test_requests_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], status: int) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        assert ask(association, ct(1), **changes) == status
        assert gateway.shown() == []
        assert ask(association, ct(1)) == 0  # the association goes on


def test_empty_and_broken_requests_are_refused(tmp_path: Path) -> None:
    no_uid = content.request_dataset("1.2.3", [ct(1)])
    del no_uid.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    no_transaction = content.request_dataset("1.2.3", [ct(1)])
    del no_transaction.TransactionUID
    empty = content.request_dataset("1.2.3", [])
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        def answer(dataset: Dataset) -> int:
            status, _ = association.send_n_action(dataset, 1, content.SOP_CLASS, content.SOP_INSTANCE)
            return int(status.Status)

        assert [answer(one) for one in (no_uid, no_transaction, empty)] == [0x0120] * 3
        assert gateway.shown() == []


def test_the_same_request_again_is_answered_again_and_another_under_its_name_is_refused(tmp_path: Path) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        stored(gateway, 1, 2)
        assert ask(association, ct(1), transaction="1.2.3") == 0
        assert peer.reports.get(timeout=60).committed == (ct(1),)
        gateway.await_shown(lambda row: row["state"] == "reported")
        assert ask(association, ct(2), transaction="1.2.3") == 0x0115
        assert ask(association, ct(1), transaction="1.2.3") == 0
        assert peer.reports.get(timeout=60).committed == (ct(1),)


def test_a_peer_without_address_waits_in_the_table_and_is_told_after_a_restart(tmp_path: Path) -> None:
    with modality() as peer:
        with receiving_half(tmp_path) as gateway:
            stored(gateway, 1)
            with peer.calling(gateway) as association:
                assert ask(association, ct(1)) == 0
            row = gateway.await_shown(lambda row: row["attempts"] >= 1)
            assert "dicom.peers" in row["last_error"]
            assert row["state"] == "verified"
        with receiving_half(tmp_path, **at(peer)) as gateway:
            assert peer.reports.get(timeout=60).committed == (ct(1),)
            gateway.await_shown(lambda row: row["state"] == "reported")


def test_a_peer_that_is_down_or_refuses_is_told_later_and_holds_up_no_other(tmp_path: Path) -> None:
    with modality() as peer:
        peer.status = 0x0110
        with receiving_half(tmp_path, **at(peer)) as gateway:
            stored(gateway, 1)
            with peer.calling(gateway) as association:
                assert ask(association, ct(1)) == 0
            row = gateway.await_shown(lambda row: row["attempts"] >= 1)
            assert "0x0110" in row["last_error"]
            peer.status = 0
            gateway.await_shown(lambda row: row["state"] == "reported")


def test_noise_in_place_of_a_data_set_is_refused(tmp_path: Path) -> None:
    with modality(listening=False) as peer, receiving_half(tmp_path) as gateway, peer.calling(gateway) as association:
        context = next(cx for cx in association.accepted_contexts if cx.abstract_syntax == content.SOP_CLASS)
        for number, noise in enumerate((b"\xff" * 40, b"no data set", b"\x08\0\x99\x11SQ\xff\xff\xff\xff\xff\xff"), 1):
            request = N_ACTION()
            request.MessageID, request.ActionTypeID = number, 1
            request.RequestedSOPClassUID, request.RequestedSOPInstanceUID = content.SOP_CLASS, content.SOP_INSTANCE
            request.ActionInformation = BytesIO(noise)
            association._reactor_checkpoint.clear()
            association.dimse.send_msg(request, context.context_id)
            _, answer = association.dimse.get_msg(block=True)
            association._reactor_checkpoint.set()
            assert answer.Status in (0x0115, 0x0120)
        assert gateway.shown() == []
        assert ask(association, ct(1)) == 0


def test_a_peer_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, modality() as peer:
        hanging = {"host": "127.0.0.1", "port": listener.getsockname()[1]}
        answering = {"host": "127.0.0.1", "port": peer.port}
        with receiving_half(tmp_path, dicom={"peers": {"HANGS": hanging, "CT1": answering}},
                            delivery={"timeout_seconds": 30}) as gateway:
            stored(gateway, 1)
            gateway.desk.take(Request("1.2.3", "HANGS", (ct(1),)))
            connection, _ = listener.accept()
            gateway.desk.take(Request("1.2.4", "CT1", (ct(1),)))
            assert peer.reports.get(timeout=60).transaction_uid == "1.2.4"
            connection.close()
