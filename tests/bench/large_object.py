"""Senders that need no memory: one object as large as is asked for, and many associations at once."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from adapters.dicom.content import part10
from adapters.dicom.content import upper_layer as u
from tests.bench import studies
from tests.dicom_objects import part10_bytes, slice_dataset

_PIECE = bytes(1024 * 1024)


class _Association:
    """Proposes one context, and sends data sets of any length."""

    def __init__(self, port: int, sop_class: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), 120)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._class = sop_class
        self._connection.sendall(u.associate_request("BENCH", "ANY", [u.Context(1, sop_class,
                                                                                (ExplicitVRLittleEndian,))]))
        kind, _ = self._pdu()
        assert kind == u.ASSOCIATE_AC, "the association was not accepted"

    def begin(self, instance: str, pieces: Iterator[bytes]) -> None:
        """A C-STORE request without the last fragment of its data set."""
        command = u.encode_command({u.AFFECTED_SOP_CLASS: self._class, u.COMMAND_FIELD: u.C_STORE_RQ, u.MESSAGE_ID: 1,
                                    u.PRIORITY: 0, u.DATA_SET_TYPE: 1, u.AFFECTED_SOP_INSTANCE: instance})
        for pdu in u.command_pdus(1, command, 0):
            self._connection.sendall(pdu)
        for piece in pieces:
            self._connection.sendall(struct.pack(">BxIIBB", u.P_DATA, len(piece) + 6, len(piece) + 2, 1, 0) + piece)

    def end(self) -> None:
        """The last fragment, an empty one; the answer; the release."""
        self._connection.sendall(struct.pack(">BxIIBB", u.P_DATA, 6, 2, 1, 2))
        kind, body = self._pdu()
        assert kind == u.P_DATA and u.decode_command(body[6:])[u.STATUS] == 0, "it was not stored"  # noqa: PT018
        self._connection.sendall(u.pdu(u.RELEASE_RQ, bytes(4)))
        self._pdu()
        self._connection.close()

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = u.pdu_head(self._read(6))
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self._connection.recv(size - len(received))
            assert piece, "the connection was closed"
            received += piece
        return received


def send_large(port: int, size: int) -> None:
    """A multi-frame object whose pixel data have `size` bytes (under 4 GB)."""
    dataset = slice_dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "2.25.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.2", "2.25.3"
    dataset.NumberOfFrames = size // 512
    header = part10.split(part10_bytes(dataset))[1][:-512 - 4] + struct.pack("<I", size)
    association = _Association(port, dataset.SOPClassUID)
    association.begin(dataset.SOPInstanceUID, _pieces(header, size))
    association.end()


def _pieces(header: bytes, size: int) -> Iterator[bytes]:
    yield header
    for _ in range(size // len(_PIECE)):
        yield _PIECE


def associations_at_once(port: int, number: int) -> None:
    """Each has sent all but the end of a CT slice before the first ends."""
    objects = studies.ct_slices_of_noise("many", number)
    parsed = [(part10.parse(content), part10.split(content)[1]) for content in objects]
    running = [_Association(port, meta.sop_class_uid) for meta, _ in parsed]
    for association, (meta, dataset) in zip(running, parsed, strict=True):
        association.begin(meta.sop_instance_uid, iter([dataset]))
    for association in running:
        association.end()
