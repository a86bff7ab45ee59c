"""What we deliver is proven by the peer's storage commitment: Orthanc, and archives that behave badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt

from adapters.database.tables import deliveries
from adapters.dicom.content import commitment as content
from adapters.dicom.transport.association import Peer
from adapters.dicom.transport.commitment_scp import report_anew
from gateway.commitment import Failed, Report, Request
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.peers.hospital import ecg, storescu, written
from tests.peers.orthanc import destination, orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

Answer = Callable[["Archive", Request], None]


@dataclass
class Archive:
    """A pynetdicom archive. `answer` is called in a thread of its own for each N-ACTION that it took."""

    title: str
    gateway_port: int
    answer: Answer
    status: int = 0
    """Of its N-ACTION responses."""
    commits: bool = True
    """Whether it offers storage commitment at all."""
    stored: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    """What the gateway said of its reports."""
    port: int = 0

    def report(self, report: Report) -> None:
        """On an association of its own, as most archives do."""
        try:
            report_anew(Peer("127.0.0.1", self.gateway_port, "TRIAGE", self.title, 10), report)
            self.statuses.append("taken")
        except Exception as error:
            self.statuses.append(str(error))

    def _take(self, event: Any) -> tuple[int, None]:
        if self.status == 0:
            request = content.read_request(event.action_information, self.title)
            self.requests.append(request)
            threading.Timer(0.1, self.answer, (self, request)).start()
        return self.status, None

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    @contextmanager
    def listening(self) -> Iterator[Archive]:
        entity = AE(ae_title=self.title)
        contexts = [build_context(content.SOP_CLASS)] if self.commits else []
        entity.supported_contexts = [*AllStoragePresentationContexts, *contexts]
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[
            (evt.EVT_N_ACTION, self._take), (evt.EVT_C_STORE, self._store)])
        self.port = int(server.socket.getsockname()[1])
        try:
            yield self
        finally:
            server.shutdown()

    def configured(self, **more: Any) -> dict[str, Any]:
        return {"name": self.title, "type": "dicom", "host": "127.0.0.1", "port": self.port, "ae_title": self.title,
                "kinds": ["sr"], "storage_commitment": True, **more}


def committed(request: Request) -> Report:
    return Report(request.transaction_uid, request.references)


def failed(request: Request, reason: int) -> Report:
    return Report(request.transaction_uid, (), tuple(Failed(one, reason) for one in request.references))


def keeps_its_word(archive: Archive, request: Request) -> None:
    archive.report(committed(request))


def says_nothing(_archive: Archive, _request: Request) -> None:
    """And never will."""


def answers_twice(archive: Archive, request: Request) -> None:
    archive.report(committed(request))
    archive.report(failed(request, 0x0110))


def answers_another(archive: Archive, request: Request) -> None:
    archive.report(Report("1.2.3.4", request.references))


def loses_the_first(archive: Archive, request: Request) -> None:
    archive.report(failed(request, 0x0112) if len(archive.requests) == 1 else committed(request))


def refuses_for_good(archive: Archive, request: Request) -> None:
    archive.report(failed(request, 0x0122))


def told(running: GatewayProcess) -> dict[str, Any]:
    """Destination → its row in the ledger, for the only document."""
    return {row.destination: row for row in running.rows(deliveries)}


def test_orthanc_commits_to_what_is_delivered(tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "pacs", knows=port) as pacs, gateway(
            tmp_path / "gateway", dicom={"port": port},
            destinations=[destination(pacs.port, storage_commitment=True)]) as running:
        storescu(port, *written(tmp_path / "files", [ecg("one")]))
        running.await_delivered(1)
        proofs = [row.receipt for row in running.rows(deliveries)]
        assert len(proofs) == 2
        assert all(proof["committed_at"] and proof["transaction_uid"].startswith("2.25.") for proof in proofs)
        assert {proof["sop_instance_uid"] for proof in proofs} == pacs.held().keys()


def test_an_archives_word_is_what_counts(tmp_path: Path) -> None:
    port = free_port()
    archives = [Archive(name, port, answer) for name, answer in (
        ("GOOD", keeps_its_word), ("SILENT", says_nothing), ("TWICE", answers_twice), ("OTHER", answers_another),
        ("LOSES", loses_the_first), ("REFUSES", refuses_for_good))]
    archives += [Archive("BUSY", port, says_nothing, status=0x0213), Archive("ODD", port, says_nothing, status=0x0110),
                 Archive("REJECTS", port, says_nothing, status=0x0124),
                 Archive("UNABLE", port, says_nothing, commits=False)]
    final = {"GOOD": "delivered", "TWICE": "delivered", "LOSES": "delivered", "SILENT": "unproven",
             "OTHER": "unproven", "REFUSES": "dead", "REJECTS": "unproven", "UNABLE": "unproven", "BUSY": "pending",
             "ODD": "pending"}
    with ExitStack() as stack:
        for archive in archives:
            stack.enter_context(archive.listening())
        running = stack.enter_context(gateway(tmp_path, dicom={"port": port}, destinations=[
            archive.configured(commitment_timeout_seconds=3) for archive in archives]))
        storescu(port, *written(tmp_path / "files", [ecg("one")]))
        await_that(lambda: {name: row.state for name, row in told(running).items()} == final, 60, "every end",
                   lambda: {name: (row.state, row.last_error) for name, row in told(running).items()})
        by_name = {archive.title: archive for archive in archives}
        assert len(by_name["LOSES"].stored) == 2
        assert by_name["TWICE"].statuses == ["taken", "taken"]
        assert "0x0115" in by_name["OTHER"].statuses[0]
        shown = told(running)
        assert "0x0122" in shown["REFUSES"].last_error
        assert shown["UNABLE"].receipt["storage_commitment"]
        assert shown["GOOD"].receipt["transaction_uid"] == by_name["GOOD"].requests[0].transaction_uid


def test_a_promise_is_remembered_over_a_crash(tmp_path: Path) -> None:
    port = free_port()
    archive = Archive("LATE", port, says_nothing)
    with archive.listening(), gateway(tmp_path, dicom={"port": port}, destinations=[archive.configured()]) as running:
        storescu(port, *written(tmp_path / "files", [ecg("one")]))
        await_that(lambda: archive.requests and told(running)["LATE"].attempts, 30, "waiting for proof")
        row = told(running)["LATE"]
        assert row.state == "pending"
        assert "storage commitment" in row.last_error
        running.kill()
        running.start()
        keeps_its_word(archive, archive.requests[0])
        assert archive.statuses == ["taken"]
        running.await_delivered(1)
        assert len(archive.stored) == 1
