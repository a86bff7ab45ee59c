"""The reader of the upper layer against the encoder of pynetdicom, in every split, and against noise."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Sequence
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_STORE
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from adapters.dicom.content.familiar import Familiar
from adapters.dicom.content.pdu_events import Command, Data, Event, OtherPdu
from adapters.dicom.content.pdu_reader import LONGEST_COMMAND, PduReader, ProtocolError
from adapters.dicom.content.upper_layer import AFFECTED_SOP_INSTANCE, COMMAND_FIELD, MESSAGE_ID

CLASS = "1.2.840.10008.5.1.4.1.1.2"
RELEASE = A_RELEASE_RQ().encode()
Told = tuple[object, ...]


# ---------------------------------------------------------------- what is sent, by pynetdicom


def store(number: int, dataset: bytes) -> DIMSEMessage:
    request = C_STORE()
    request.MessageID, request.Priority = number, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(CLASS), UID(f"1.2.{number}")
    request.DataSet = BytesIO(dataset)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return message


def find(number: int, identifier: bytes) -> DIMSEMessage:
    request = C_FIND()
    request.MessageID, request.Priority, request.AffectedSOPClassUID = number, 2, UID("1.2.840.10008.5.1.4.1.2.2.1")
    request.Identifier = BytesIO(identifier)
    message = C_FIND_RQ()
    message.primitive_to_message(request)
    return message


def echo(number: int) -> DIMSEMessage:
    request = C_ECHO()
    request.MessageID, request.AffectedSOPClassUID = number, UID("1.2.840.10008.1.1")
    message = C_ECHO_RQ()
    message.primitive_to_message(request)
    return message


Sent = tuple[str, int, bytes]
sent_messages = st.lists(st.tuples(st.sampled_from(["store", "find", "echo", "release", "abort"]),
                                   st.integers(0, 127).map(lambda n: 2 * n + 1), st.binary(min_size=1, max_size=3000)),
                         max_size=5)


def encoded(sent: Sequence[Sent], longest: int, values_in_a_pdu: int) -> tuple[bytes, list[Told]]:
    """The bytes, and what a reader has to tell of them."""
    stream, told = b"", list[Told]()
    for number, (kind, context, dataset) in enumerate(sent, 1):
        if kind in {"release", "abort"}:
            pdu = A_RELEASE_RQ() if kind == "release" else A_ABORT_RQ()
            if isinstance(pdu, A_ABORT_RQ):
                pdu.source, pdu.reason_diagnostic = 0, 0
            stream += pdu.encode()
            told.append(("pdu", pdu.encode()))
            continue
        message = echo(number) if kind == "echo" else (store if kind == "store" else find)(number, dataset)
        values = [value for primitive in message.encode_msg(context, longest)
                  for value in primitive.presentation_data_value_list]
        for begin in range(0, len(values), values_in_a_pdu):
            primitive = P_DATA()
            primitive.presentation_data_value_list = [list(value) for value in values[begin:begin + values_in_a_pdu]]
            stream += P_DATA_TF(primitive).encode()
        told.append(("command", context, number, {"store": 1, "find": 0x20, "echo": 0x30}[kind]))
        if kind != "echo":
            told.append(("data", dataset))
    return stream, told


def tell(events: Sequence[Event]) -> list[Told]:
    told, dataset = list[Told](), b""
    for event in events:
        if isinstance(event, Command):
            told.append(("command", event.context, event.fields[MESSAGE_ID], event.fields[COMMAND_FIELD]))
        elif isinstance(event, OtherPdu):
            told.append(("pdu", event.encoded))
        else:
            dataset += event.piece
            if event.last:
                told.append(("data", dataset))
                dataset = b""
    return told


def fed(reader: PduReader, piece: memoryview) -> list[Event]:
    events = reader.feed(piece)
    if reader.broken is not None:
        raise reader.broken
    return events


def read(stream: bytes, cuts: Sequence[int]) -> list[Event]:
    reader, events, begin = PduReader(), list[Event](), 0
    for end in [*sorted(cuts), len(stream)]:
        for event in fed(reader, memoryview(stream)[begin:end]):
            events.append(Data(memoryview(bytes(event.piece)), event.last) if isinstance(event, Data) else event)
        begin = end
    assert reader.idle
    return events


@given(sent_messages, st.sampled_from([13, 14, 50, 256, 16384, 0]), st.integers(1, 4), st.data())
def test_every_split_of_every_message_tells_the_same(sent: list[Sent], longest: int, values_in_a_pdu: int,
                                                     data: st.DataObject) -> None:
    stream, told = encoded(sent, longest, values_in_a_pdu)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert tell(read(stream, cuts)) == told


@settings(max_examples=15, deadline=None)
@given(sent_messages, st.sampled_from([16, 0]))
def test_byte_by_byte(sent: list[Sent], longest: int) -> None:
    stream, told = encoded(sent, longest, 2)
    assert tell(read(stream, range(len(stream)))) == told


def test_commands_are_read_as_sent() -> None:
    stream, _ = encoded([("store", 3, b"data")], 0, 1)
    command = read(stream, [])[0]
    assert isinstance(command, Command)
    assert command.fields[AFFECTED_SOP_INSTANCE] == "1.2.1"
    assert command.has_dataset
    echoed = read(encoded([("echo", 1, b"")], 0, 1)[0], [])[0]
    assert isinstance(echoed, Command)
    assert not echoed.has_dataset


# ---------------------------------------------------------------- what is no DICOM


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=300), max_size=6), sent_messages, st.data())
def test_noise_is_refused_or_waited_for_and_nothing_else(noise: list[bytes], sent: list[Sent],
                                                         data: st.DataObject) -> None:
    stream = bytearray(encoded(sent, 50, 2)[0])
    for piece in noise:
        at = data.draw(st.integers(0, len(stream)))
        stream[at:at + data.draw(st.integers(0, 20))] = piece
    reader = PduReader()
    with contextlib.suppress(ProtocolError):
        for begin in range(0, len(stream), 64):
            fed(reader, memoryview(stream)[begin:begin + 64])


def value(context: int, control: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">IBB", len(content) + 2 if length is None else length, context, control) + content


def p_data(*values: bytes, length: int | None = None) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxI", 4, len(body) if length is None else length) + body



def command_set(number: int = 1) -> bytes:
    (primitive, *_) = store(number, b"x").encode_msg(1, 0)
    return bytes(primitive.presentation_data_value_list[0][1][1:])


@pytest.mark.parametrize("stream", [
    b"\x00\x00\x00\x00\x00\x00", b"\x08\x00\x00\x00\x00\x04", b"GET / HTTP/1.1\r\n", p_data(b"\0\0\0\1"),
    p_data(value(1, 3, b"", length=1)), p_data(value(1, 3, b"x", length=2**32 - 1)),
    p_data(value(1, 0, b"data first")), p_data(value(1, 3, b"\0\0\0\1\xff\xff\xff\xffno command")),
    p_data(value(1, 3, command_set())) + p_data(value(1, 3, command_set())),
    p_data(value(1, 3, command_set())) + p_data(value(3, 0, b"in another context")),
    p_data(value(1, 3, b"x"), b"\0\0\0"), struct.pack(">BxI", 1, 2**31),
    *[p_data(value(1, 1, bytes(LONGEST_COMMAND // 2))) * 3],
    p_data(value(1, 1, b"x")) + RELEASE, p_data(value(1, 3, command_set())) + RELEASE,
    p_data(value(1, 3, command_set()), value(1, 0, b"x")) + RELEASE,
], ids=["zero", "eight", "http", "short", "length one", "length beyond", "data first", "no command", "command in data",
        "another context", "rest", "long request", "endless command", "release within a command",
        "release before the data set", "release within a data set"])
def test_what_the_standard_forbids_is_refused(stream: bytes) -> None:
    reader = PduReader()
    with pytest.raises(ProtocolError):
        fed(reader, memoryview(stream))


def test_a_message_of_four_gigabytes_takes_no_memory() -> None:
    reader, piece = PduReader(), memoryview(bytes(1024 * 1024))
    fed(reader, memoryview(p_data(value(1, 3, command_set()))))
    fed(reader, memoryview(struct.pack(">BxIIBB", 4, 2**32 - 1, 2**32 - 5, 1, 2)))
    tracemalloc.start()
    passed = sum(len(event.piece) for _ in range(200) for event in fed(reader, piece) if isinstance(event, Data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert passed == 200 * len(piece)
    assert peak < 1024 * 1024
    assert not reader.idle


# ---------------------------------------------------------------- what is like what came before


class Slow(PduReader):
    """Reads everything byte by byte, as if it was the first."""

    def __init__(self) -> None:
        super().__init__()
        self._familiar = Nothing()


class Nothing(Familiar):
    def read(self, received: memoryview) -> None:
        """Nothing is familiar."""


def whole(reader: PduReader, pieces: Sequence[bytes]) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []
    for piece in pieces:
        for event in reader.feed(memoryview(piece)):
            if isinstance(event, Command):
                told.append((event.context, event.fields, event.encoded))
            else:
                told.append((bytes(event.piece), event.last) if isinstance(event, Data) else (event.encoded,))
        told.append((str(reader.broken), reader.idle))
    return told


@given(st.lists(st.tuples(st.sampled_from([1, 3, 3]), st.sampled_from([20, 20, 300, 301]), st.binary(max_size=2)),
                min_size=2, max_size=8),
       st.sampled_from([64, 256, 0]), st.integers(1, 3), st.data())
def test_what_is_familiar_reads_as_what_is_not(requests: list[tuple[int, int, bytes]], longest: int, values: int,
                                               data: st.DataObject) -> None:
    pieces = list[bytes]()
    for number, (context, size, more) in enumerate(requests, 10):
        stream, _ = encoded([("store", context, bytes(size) + more)], longest, values)
        stream = stream.replace(b"1.2.1\0", f"1.2.{number % 10}\0".encode())
        if data.draw(st.integers(0, 9)) == 0:
            at = data.draw(st.integers(0, len(stream) - 1))
            stream = stream[:at] + data.draw(st.binary(min_size=1, max_size=1)) + stream[at + 1:]
        cut = data.draw(st.sampled_from([0, 0, 0, 1, len(stream) // 2, max(0, stream.find(b"\x04\0", 1))]))
        pieces += [stream[:cut], stream[cut:]] if cut else [stream]
    assert whole(PduReader(), pieces) == whole(Slow(), pieces)


def test_requests_that_are_alike_are_familiar() -> None:
    reader = PduReader()
    stream, _ = encoded([("store", 3, bytes(5000))], 1000, 1)
    for uid in (b"1.2.1", b"1.2.9", b"1.2.8"):
        reader.feed(memoryview(stream.replace(b"1.2.1", uid)))
    familiar = reader._familiar.read(memoryview(stream))
    assert familiar is not None
    assert len(familiar.events) == 7
    assert familiar.dataset_of is None


def test_a_value_that_only_seems_to_end_with_its_fragment_is_not_familiar() -> None:
    """Two values in one fragment are six bytes shorter, an empty fragment six bytes longer: both together are not what
    they seem."""
    command, _ = encoded([("store", 1, b"xx")], 0, 1)
    head = command[:command.index(b"\x04\0", 1)]
    data = struct.pack(">BxI", 4, 20) + 2 * (struct.pack(">IBB", 6, 1, 0) + b"abcd") + struct.pack(">BxI", 4, 0)
    last = struct.pack(">BxIIBB", 4, 10, 6, 1, 2) + b"wxyz"
    pieces = [head + data + last] * 3
    assert whole(PduReader(), pieces) == whole(Slow(), pieces)


def test_a_request_without_a_data_set_has_none_however_often_it_comes() -> None:
    stream, _ = encoded([("store", 1, b"xx")], 0, 1)
    end = stream.index(b"\x04\0", 1)
    at = stream.index(b"\x00\x00\x00\x08\x02\x00\x00\x00") + 8
    alone = stream[:at] + b"\x01\x01" + stream[at + 2:end]
    assert whole(PduReader(), [alone] * 4) == whole(Slow(), [alone] * 4)


def test_a_message_id_of_four_bytes_is_no_message() -> None:
    stream, _ = encoded([("echo", 1, b"")], 0, 1)
    at = stream.index(b"\x10\x01\x02\x00\x00\x00")
    longer = bytearray(stream[:at + 2] + b"\4\0\0\0" + b"\1\0\1\0" + stream[at + 8:])
    longer[2:6], longer[6:10] = (len(longer) - 6).to_bytes(4, "big"), (len(longer) - 10).to_bytes(4, "big")
    reader = PduReader()
    assert reader.feed(memoryview(bytes(longer))) == []
    assert "message ID" in str(reader.broken)
