"""C-STORE requests that lie alike, as bytes, and what the first of them teaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.dicom.content import part10
from adapters.dicom.content import upper_layer as ul
from adapters.dicom.content.likeness import Likeness, likeness_of
from adapters.dicom.content.pdu_events import Command
from adapters.dicom.content.tags import EXPLICIT_LITTLE_ENDIAN, tag_streamer
from tests.dicom_objects import part10_bytes, slice_dataset

CONTEXT, LONGEST = 5, 16384
CLASS = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class Request:
    """`number`: its message ID."""

    number: int
    uid: str
    dataset: bytes
    longest: int = LONGEST

    @property
    def command(self) -> bytes:
        return ul.encode_command({ul.AFFECTED_SOP_CLASS: CLASS, ul.COMMAND_FIELD: ul.C_STORE_RQ,
                                  ul.MESSAGE_ID: self.number, ul.PRIORITY: 0, ul.DATA_SET_TYPE: 0,
                                  ul.AFFECTED_SOP_INSTANCE: self.uid})

    @property
    def response(self) -> bytes:
        return ul.encode_command({ul.AFFECTED_SOP_CLASS: CLASS, ul.COMMAND_FIELD: ul.C_STORE_RSP,
                                  ul.RESPONDED_TO: self.number, ul.DATA_SET_TYPE: ul.NO_DATA_SET, ul.STATUS: 0,
                                  ul.AFFECTED_SOP_INSTANCE: self.uid})

    @property
    def encoded(self) -> bytes:
        return ul.command_pdu(CONTEXT, self.command) + b"".join(
            ul.dataset_pdus(CONTEXT, self.dataset, self.longest))


def request(number: int, longest: int = LONGEST) -> Request:
    """Of a slice; those with numbers of as many digits lie alike."""
    sent = slice_dataset(number)
    return Request(number, str(sent.SOPInstanceUID), part10.split(part10_bytes(sent))[1], longest)


def fragments(dataset: bytes, longest: int) -> Iterator[bytes]:
    for at in range(0, len(dataset), longest - 6):
        yield dataset[at:at + longest - 6]


def likeness(one: Request) -> Likeness | None:
    """Of what came as `one` did, after others of its kind."""
    streams = tag_streamer()
    header = part10.build(part10.FileMeta(CLASS, one.uid, EXPLICIT_LITTLE_ENDIAN, "CT"))
    pieces = [memoryview(piece) for piece in fragments(one.dataset, one.longest)]
    lies = None
    for _ in range(3):
        stream = streams(header)
        stream.feed_whole(pieces)
        lies = stream.lies()
    assert lies is not None
    command = Command(CONTEXT, ul.decode_command(one.command), one.command)
    return likeness_of(command, list(map(len, pieces)), lies, one.response)
