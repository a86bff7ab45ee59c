"""A blocking association for sending: one socket, no threads, every wait bounded (PS3.8)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from adapters.dicom.content import upper_layer as ul
from gateway.errors import Permanent, Transient


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call. `timeout`: seconds for the connection and for each answer."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Response:
    """A DIMSE response: `status` (PS3.7 Annex C) and the peer's comment on it."""

    status: int
    comment: str = ""


class Association:
    """Opened on entry, released on exit (aborted after an error).

    Raises Transient when the peer cannot be reached, is busy, does not answer in time or breaks off, and Permanent
    when it rejects the association for good. Messages name no patient.
    """

    def __init__(self, peer: Peer, proposals: Sequence[tuple[str, str]]) -> None:
        """`proposals`: (SOP class, transfer syntax) pairs, at most 128; each is a context of its own, so that the peer
        cannot choose to have data sets in another syntax than theirs."""
        if len(proposals) > ul.MOST_CONTEXTS:
            raise ValueError("an association has at most 128 presentation contexts")
        self._peer = peer
        self._contexts = {pair: 2 * index + 1 for index, pair in enumerate(proposals)}
        self._accepted = ul.Acceptance({})
        self._message_id = 0
        self._socket: socket.socket | None = None

    def __enter__(self) -> Association:
        try:
            self._socket = socket.create_connection((self._peer.host, self._peer.port), self._peer.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise Transient(f"{self._peer.host}:{self._peer.port} cannot be reached: {_reason(error)}.") from error
        try:
            self._negotiate()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._send(ul.pdu(ul.RELEASE_RQ, bytes(4)))
                self._read()
            else:
                self._send(ul.pdu(ul.ABORT, bytes(4)))
        except Transient:
            pass  # every answer has been received: nothing depends on how the peer says good-bye
        finally:
            self._close()

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Whether the peer takes data sets of this class in this transfer syntax."""
        number = self._contexts.get((sop_class_uid, transfer_syntax_uid))
        return self._accepted.contexts.get(number or 0) == transfer_syntax_uid

    def store(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, dataset: bytes) -> Response:
        """C-STORE (PS3.7 9.1.1) of the data set's bytes as they are. Raises Permanent where no context was accepted."""
        if not self.accepts(sop_class_uid, transfer_syntax_uid):
            raise Permanent(f"The peer does not accept SOP class {sop_class_uid} in transfer syntax "
                            f"{transfer_syntax_uid}.")
        number = self._contexts[(sop_class_uid, transfer_syntax_uid)]
        command: dict[int, int | str] = {
            ul.AFFECTED_SOP_CLASS: sop_class_uid, ul.COMMAND_FIELD: ul.C_STORE_RQ, ul.PRIORITY: 0, ul.DATA_SET_TYPE: 0,
            ul.AFFECTED_SOP_INSTANCE: sop_instance_uid}
        return self._ask(number, command, ul.C_STORE_RSP, dataset)

    def echo(self, sop_class_uid: str, transfer_syntax_uid: str) -> Response:
        """C-ECHO (PS3.7 9.1.5)."""
        if not self.accepts(sop_class_uid, transfer_syntax_uid):
            raise Permanent("The peer does not accept verification.")
        command: dict[int, int | str] = {ul.AFFECTED_SOP_CLASS: sop_class_uid, ul.COMMAND_FIELD: ul.C_ECHO_RQ,
                                         ul.DATA_SET_TYPE: ul.NO_DATA_SET}
        return self._ask(self._contexts[(sop_class_uid, transfer_syntax_uid)], command, ul.C_ECHO_RSP, None)

    def _negotiate(self) -> None:
        contexts = [ul.Context(number, pair[0], (pair[1],)) for pair, number in self._contexts.items()]
        peer = self._peer
        self._send(ul.associate_request(peer.calling_ae_title, peer.called_ae_title, contexts))
        kind, body = self._read()
        try:
            if kind == ul.ASSOCIATE_AC:
                self._accepted = ul.acceptance(body)
                return
            if kind == ul.ASSOCIATE_RJ:
                rejected = ul.rejection(body)
                raise (Transient if rejected.transient else Permanent)(
                    f"The peer rejects the association: {rejected.reason}.")
        except ul.Malformed as error:
            raise Transient(f"The peer does not speak DICOM: {error}.") from error
        raise Transient("The peer broke off the association.")

    def _ask(self, number: int, command: dict[int, int | str], response: int, dataset: bytes | None) -> Response:
        self._message_id = self._message_id % 0xFFFF + 1
        encoded = ul.encode_command({**command, ul.MESSAGE_ID: self._message_id})
        for fragment in ul.command_pdus(number, encoded, self._accepted.longest):
            self._send(fragment)
        if dataset is not None:
            for fragment in ul.dataset_pdus(number, dataset, self._accepted.longest):
                self._send(fragment)
        return self._answer(response)

    def _answer(self, response: int) -> Response:
        message = ul.Message()
        try:
            while not message.complete:
                kind, body = self._read()
                if kind != ul.P_DATA:
                    raise Transient("The peer broke off the association.")
                ul.receive(message, body)
            answer = ul.decode_command(bytes(message.received))
        except ul.Malformed as error:
            raise Transient(f"The peer does not speak DICOM: {error}.") from error
        if answer.get(ul.COMMAND_FIELD) != response or answer.get(ul.RESPONDED_TO) != self._message_id:
            raise Transient("The peer answered something else than was asked.")
        return Response(int(answer.get(ul.STATUS, 0x0110)), str(answer.get(ul.ERROR_COMMENT, "")))

    def _send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise Transient(f"The connection broke: {_reason(error)}.") from error

    def _read(self) -> tuple[int, bytes]:
        """(type, body) of the next PDU."""
        try:
            kind, length = ul.pdu_head(self._receive(6))
        except (ul.Malformed, struct.error) as error:
            raise Transient("The peer does not speak DICOM.") from error
        return kind, self._receive(length)

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            try:
                piece = self._connection.recv(size - len(received))
            except OSError as error:
                raise Transient(f"The peer does not answer: {_reason(error)}.") from error
            if not piece:
                raise Transient("The peer closed the connection.")
            received += piece
        return bytes(received)

    @property
    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("the association is not open")
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _reason(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else (error.strerror or type(error).__name__).lower()
