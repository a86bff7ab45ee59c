"""A modality that asks for storage commitment and goes on sending, in one thread: each of its messages is whole.

pynetdicom answers an N-EVENT-REPORT in a thread of its own, in the middle of the C-STORE request that its user may be
sending, which PS3.7 forbids; so it cannot show what happens when the two cross.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import decode, encode

from adapters.dicom.content import commitment, part10
from adapters.dicom.content import upper_layer as ul
from adapters.dicom.content.pdu_events import Command, Data, Event, OtherPdu
from adapters.dicom.content.pdu_reader import PduReader
from gateway.commitment import Reference, Report

_COMMITMENT, _STORAGE = 1, 3
"""Presentation contexts."""
_LONGEST = 16_382
_N_EVENT_REPORT_RQ, _N_EVENT_REPORT_RSP, _N_ACTION_RQ, N_ACTION_RSP = 0x0100, 0x8100, 0x0130, 0x8130
_REQUESTED_SOP_CLASS, _REQUESTED_SOP_INSTANCE, _ACTION_TYPE, _EVENT_TYPE = 0x0003, 0x1001, 0x1008, 0x1002


@dataclass
class Crossing:
    """Reports are answered where they are read: between two messages of its own."""

    connection: socket.socket
    reports: list[Report] = field(default_factory=list)
    answered: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often a response of this kind came with this status."""
    _number: int = 0
    _reader: PduReader = field(default_factory=PduReader)
    _events: deque[Event] = field(default_factory=deque)

    def send(self, file: bytes) -> None:
        """C-STORE of a Part 10 file; nothing is awaited."""
        header, dataset = part10.split(file)
        self._request(_STORAGE, ul.C_STORE_RQ, dataset, {
            ul.AFFECTED_SOP_CLASS: str(CTImageStorage), ul.PRIORITY: 0,
            ul.AFFECTED_SOP_INSTANCE: part10.parse(header).sop_instance_uid})

    def ask(self, *references: Reference) -> None:
        """N-ACTION for storage commitment; nothing is awaited."""
        dataset = encode(commitment.request_dataset(generate_uid(), references), False, True)
        self._request(_COMMITMENT, _N_ACTION_RQ, dataset or b"", {
            _REQUESTED_SOP_CLASS: commitment.SOP_CLASS, _REQUESTED_SOP_INSTANCE: commitment.SOP_INSTANCE,
            _ACTION_TYPE: commitment.ASK})

    def hear(self, responses: int) -> None:
        """Until so many responses have come to what was sent."""
        while self.answered.total() < responses:
            self._message()

    def hear_reports(self, reports: int) -> None:
        while len(self.reports) < reports:
            self._message()

    def release(self) -> int:
        """The type of the PDU that answers."""
        self.connection.sendall(ul.pdu(ul.RELEASE_RQ, bytes(4)))
        answer = self._event()
        assert isinstance(answer, OtherPdu)
        return answer.kind

    def _request(self, context: int, kind: int, dataset: bytes, more: dict[int, int | str]) -> None:
        self._number += 1
        command = ul.encode_command({ul.COMMAND_FIELD: kind, ul.MESSAGE_ID: self._number, ul.DATA_SET_TYPE: 0, **more})
        self.connection.sendall(b"".join([*ul.command_pdus(context, command, _LONGEST),
                                          *ul.dataset_pdus(context, dataset, _LONGEST)]))

    def _message(self) -> None:
        """The next that comes: counted, or, a report, answered."""
        command = self._event()
        assert isinstance(command, Command), f"the association ended: {command}"
        kind = int(command.fields[ul.COMMAND_FIELD])
        if kind != _N_EVENT_REPORT_RQ:
            self.answered[kind, int(command.fields[ul.STATUS])] += 1
            return
        self.reports.append(commitment.read_report(decode(BytesIO(self._dataset()), False, True)))
        answer = ul.encode_command({
            ul.AFFECTED_SOP_CLASS: commitment.SOP_CLASS, ul.COMMAND_FIELD: _N_EVENT_REPORT_RSP,
            ul.RESPONDED_TO: int(command.fields[ul.MESSAGE_ID]), ul.DATA_SET_TYPE: ul.NO_DATA_SET, ul.STATUS: 0,
            ul.AFFECTED_SOP_INSTANCE: commitment.SOP_INSTANCE, _EVENT_TYPE: int(command.fields[_EVENT_TYPE])})
        self.connection.sendall(ul.command_pdu(_COMMITMENT, answer))

    def _dataset(self) -> bytes:
        pieces: list[Data] = []
        while not pieces or not pieces[-1].last:
            piece = self._event()
            assert isinstance(piece, Data)
            pieces.append(piece)
        return b"".join(bytes(one.piece) for one in pieces)

    def _event(self) -> Event:
        while not self._events:
            received = self.connection.recv(65_536)
            assert received, "the gateway closed the connection"
            self._events += self._reader.feed(memoryview(received))
            assert self._reader.broken is None, f"the gateway broke the protocol: {self._reader.broken}"
        return self._events.popleft()


@contextmanager
def crossing(port: int) -> Iterator[Crossing]:
    """On an association with the gateway as CT1."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        peer = Crossing(connection)
        connection.sendall(ul.associate_request("CT1", "TRIAGE", [
            ul.Context(_COMMITMENT, commitment.SOP_CLASS, (ExplicitVRLittleEndian,)),
            ul.Context(_STORAGE, CTImageStorage, (ExplicitVRLittleEndian,))]))
        accepted = peer._event()
        assert isinstance(accepted, OtherPdu)
        assert set(ul.acceptance(accepted.encoded[6:]).contexts) == {_COMMITMENT, _STORAGE}
        yield peer
