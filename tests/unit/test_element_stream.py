"""Elements read as their bytes pass, against the walk over the whole data set in memory: the same values, the same
refusals, in any encoding and any pieces."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items

from adapters.dicom.content import elements
from adapters.dicom.content.element_stream import LONGEST_PADDING, LONGEST_VALUE, MOST_ELEMENTS, ElementStream, Value
from adapters.dicom.content.elements import BIG_ENDIAN, EXPLICIT, IMPLICIT, Encoding
from gateway.errors import Unreadable

ENCODINGS = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


class Every:
    """Every tag is wanted."""

    def __contains__(self, tag: object) -> bool:
        return True


def walked(data: bytes, encoding: Encoding) -> dict[int, Value] | str:
    """What is to be found, or why it cannot be."""
    try:
        return {e.tag: (e.vr, data[e.start:e.end], e.encoding)
                for e in elements.walk(data, elements.sniffed(data, encoding))}
    except Unreadable as error:
        return error.reason


def streamed(data: bytes, encoding: Encoding, cuts: Sequence[int]) -> dict[int, Value] | str:
    stream, begin = ElementStream(encoding, Every()), 0
    try:
        for end in [*sorted(cuts), len(data)]:
            stream.feed(memoryview(data)[begin:end])
            begin = end
        return stream.finish()
    except Unreadable as error:
        return error.reason


texts = st.text("ABC 123", max_size=12)
datasets = st.recursive(
    st.fixed_dictionaries({}, optional={"PatientName": texts, "StudyDescription": texts, "Rows": st.integers(0, 9),
                                        "PixelData": st.binary(max_size=300), "TextValue": texts}),
    lambda inner: st.fixed_dictionaries({"PatientID": texts}, optional={
        "ReferencedStudySequence": st.lists(inner, max_size=3),
        "RequestAttributesSequence": st.lists(inner, max_size=3),
        "PixelData": st.binary(max_size=300)}), max_leaves=6)


def built(values: dict[str, object], undefined: bool) -> Dataset:
    dataset = Dataset()
    dataset.is_undefined_length_sequence_item = undefined
    for keyword, value in values.items():
        if isinstance(value, list):
            setattr(dataset, keyword, Items([built(item, undefined) for item in value]))
            dataset[keyword].is_undefined_length = undefined
        elif keyword == "PixelData":
            dataset.add_new(0x7FE00010, "OW", value)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset, encoding: Encoding) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = encoding.implicit, not encoding.big_endian
    write_dataset(buffer, dataset)
    return buffer.getvalue()


@settings(deadline=None)
@given(datasets, st.sampled_from(ENCODINGS), st.booleans(), st.data())
def test_any_pieces_give_what_the_walk_gives(values: dict[str, object], encoding: Encoding, undefined: bool,
                                             data: st.DataObject) -> None:
    content = encoded(built(values, undefined), encoding) + bytes(data.draw(st.sampled_from([0, 0, 4, 8, 30])))
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=12))
    found = streamed(content, encoding, cuts)
    assert found == walked(content, encoding)
    assert isinstance(found, dict)
    assert found == streamed(content, encoding, range(len(content)))


@settings(deadline=None, max_examples=200)
@given(datasets, st.sampled_from(ENCODINGS), st.booleans(), st.binary(min_size=1, max_size=6), st.data())
def test_broken_data_sets_are_refused_alike(values: dict[str, object], encoding: Encoding, undefined: bool,
                                            noise: bytes, data: st.DataObject) -> None:
    content = bytearray(encoded(built(values, undefined), encoding))
    at = data.draw(st.integers(0, len(content)))
    content[at:at + data.draw(st.integers(0, 6))] = noise
    content = content[:data.draw(st.integers(0, len(content)))]
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=6))
    found, expected = streamed(bytes(content), encoding, cuts), walked(bytes(content), encoding)
    assert isinstance(found, str) == isinstance(expected, str)
    if isinstance(found, dict):
        assert found == expected


@pytest.mark.parametrize("wanted", [Every(), frozenset[int]()], ids=["wanted", "not wanted"])
def test_a_value_of_four_gigabytes_takes_no_memory(wanted: Every | frozenset[int]) -> None:
    stream, piece = ElementStream(EXPLICIT, wanted), memoryview(bytes(1024 * 1024))
    stream.feed(b"\x09\0\x01\x10OB\0\0\xf0\xff\xff\xff")
    tracemalloc.start()
    for _ in range(100):
        stream.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024
    with pytest.raises(Unreadable):
        stream.finish()


def test_an_endless_sequence_that_is_wanted_takes_bounded_memory() -> None:
    stream = ElementStream(EXPLICIT, Every())
    stream.feed(b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff")
    item = b"\xfe\xff\0\xe0" + (1024 * 1024).to_bytes(4, "little") + bytes(1024 * 1024)
    tracemalloc.start()
    for _ in range(3 * LONGEST_VALUE // len(item)):
        stream.feed(item)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * LONGEST_VALUE
    stream.feed(b"\xfe\xff\xdd\xe0\0\0\0\0" + b"\x10\0\x10\0PN\x04\0A^B ")
    assert stream.finish() == {0x00100010: ("PN", b"A^B ", EXPLICIT)}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_would_keep_a_reader_busy_is_refused(encoding: Encoding) -> None:
    """Sixty kilobytes of a zip hold millions of elements of eight bytes."""
    head = encoded(built({"PatientID": "1"}, False), encoding)
    assert isinstance(streamed(head + bytes(LONGEST_PADDING), encoding, []), dict)
    padded = streamed(head + bytes(LONGEST_PADDING + 1), encoding, range(0, LONGEST_PADDING, 65536))
    assert padded == f"More than {LONGEST_PADDING} bytes follow the last element."
    empty = encoded(built({"StudyDescription": ""}, False), encoding)
    many = streamed(empty * (MOST_ELEMENTS + 1), encoding, [])
    assert many == f"The data set has more than {MOST_ELEMENTS} elements."
