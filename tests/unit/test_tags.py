"""Tags read from bytes: every transfer syntax, character sets, broken data sets."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from adapters.dicom.content import dicom_json, elements, part10
from adapters.dicom.content.tags import TagStream, identity, read_tags, require_announced, tag_streamer
from gateway.errors import Rejected, Unreadable, Unusable
from tests.dicom_objects import SERIES, STUDY, UNCOMPRESSED, inflated, part10_bytes, slice_dataset


def tags_of(content: bytes, **more: object) -> dict[str, object]:
    header, dataset = part10.split(content)
    return read_tags(header, [dataset], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, RLELossless], ids=lambda uid: uid.name)
def test_every_encoding_gives_the_same_tags(syntax: UID) -> None:
    tags = tags_of(part10_bytes(slice_dataset(), syntax))
    assert tags.pop("TransferSyntaxUID") == syntax
    expected = tags_of(part10_bytes(slice_dataset(), ExplicitVRLittleEndian))
    expected.pop("TransferSyntaxUID")
    assert tags == expected
    assert tags["ImagePositionPatient"] == [-100.5, 20.25, 5.0]
    assert tags["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert (tags["Rows"], tags["InstanceNumber"], tags["SliceThickness"]) == (16, 1, 5.0)
    json.dumps(tags, allow_nan=False)


@pytest.mark.parametrize(("charset", "name"), [
    ("ISO_IR 6", "Doe^Jane"), ("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 144", "Иванова^Мария^Петровна"),
    ("ISO_IR 192", "Ζωή^Ø"), ("GB18030", "Zhang^XiaoDong=张^小东"), ("ISO_IR 166", "สมชาย^ใจดี"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"), ("ISO_IR 203", "Œuvre^Šárka"),
    (["ISO 2022 IR 6", "ISO 2022 IR 203"], "Œuvre^Šárka")])
def test_names_are_unicode(charset: str, name: str) -> None:
    assert tags_of(part10_bytes(slice_dataset(charset=charset, name=name)))["PatientName"] == name


ESCAPED = [
    # PS3.5 K.2, I.2, H.3.1 and H.3.2
    ("\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东"),
    ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^"
     b"\x1b$)C\xb1\xe6\xb5\xbf", "Hong^Gildong=洪^吉洞=홍^길동"),
    ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
     "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
     b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("\\ISO 2022 IR 87\\ISO 2022 IR 159", b"Tei^Tarou=\x1b$(D0!\x1b(B^\x1b$BB@O:\x1b(B", "Tei^Tarou=丂^太郎"),
    ("ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
    ("ISO_IR 58", b"Zhang=\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
    ("\\ISO 2022 IR 58\\ISO 2022 IR 149\\ISO 2022 IR 87", b"A=\x1b$)A\xd5\xc5^\x1b$)C\xfb\xf3=\x1b$BB@O:\x1b(B",
     "A=张^洪=太郎"),
    ("ISO_IR 203", b"\xbcuvre^\xa6\xe1rka", "Œuvre^Šárka"),
    ("ISO 2022 IR 203", b"\xbcuvre^\xa6\xe1rka", "Œuvre^Šárka"),
    ("\\ISO 2022 IR 203", b"\x1b-b\xbcuvre^\x1b-b\xa6\xe1rka", "Œuvre^Šárka"),
    ("ISO 2022 IR 100\\ISO 2022 IR 58", b"Andr\xe9=\x1b$)A\xd5\xc5^\xe9=\x1b$)A\xd0\xa1 A", "André=张^é=小 A"),
    ("ISO 2022 IR 100\\ISO 2022 IR 203", b"\x1b-b\xa4^J\xa4", "€^J¤")]


@pytest.mark.parametrize(("charset", "raw", "name"), ESCAPED)
def test_escape_sequences_switch_the_character_set_and_are_no_text(charset: str, raw: bytes, name: str) -> None:
    assert tags_of(with_texts(charset, PatientName=raw))["PatientName"] == name


@pytest.mark.parametrize(("charset", "raw", "name"), ESCAPED)
def test_metadata_say_the_same_names(charset: str, raw: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "named.dcm"
    path.write_bytes(with_texts(charset, PatientName=raw))
    (told,) = dicom_json.of_file(path, lambda _: "")["00100010"]["Value"]
    assert "=".join(told.values()) == name


@pytest.mark.parametrize(("keyword", "raw", "text"), [
    ("StudyDescription", b"\x1b$)A\xd5\xc5^\xd0\xa1=\xb6\xab", "张^小=东"),
    ("OtherPatientNames", b"A=\x1b$)A\xd5\xc5\\B=\xe9\\\x1b$)A\xd0\xa1", ["A=张", "B=é", "小"]),
    ("RequestingService", b"\x1b$)A\xd5\xc5", "张"),
    ("AccessionNumber", b"\x1b$)A\xd5\xc5", "张"),
    ("ImageComments", b"\x1b$)A\xd5\xc5\\\xd0\xa1\r\n\xe9\x1b$)A\xb6\xab", "张\\小\r\né东"),
    ("TextValue", b"\x1b$)A\xd5\xc5\tA", "张\tA"),
    ("PatientComments", b"\x1b$)A\xd5\xc5\nA", "张\nA"),
    ("LongCodeValue", b"\x1b$)A\xd5\xc5", "张")])
def test_a_character_set_ends_where_its_kind_of_text_says(keyword: str, raw: bytes, text: object) -> None:
    """PS3.5 6.1.2.5.3: lines, values and, in names alone, their parts."""
    content = with_texts("ISO 2022 IR 100\\ISO 2022 IR 58", **{keyword: raw})
    assert tags_of(content, extra_keywords=[keyword])[keyword] == text


def with_texts(charset: str, **values: bytes) -> bytes:
    """A slice as a Part 10 file, with these values as they are encoded."""
    dataset = slice_dataset(charset=charset.split("\\"))
    for keyword, raw in values.items():
        setattr(dataset, keyword, "~" * (len(raw) + len(raw) % 2))
    content = part10_bytes(dataset)
    for raw in values.values():
        content = content.replace(b"~" * (len(raw) + len(raw) % 2), raw + b" " * (len(raw) % 2))
    return content


def test_a_second_byte_that_looks_like_a_backslash_does_not_split_a_text() -> None:
    dataset = slice_dataset(charset="GB18030")
    dataset.StudyDescription = "昞"  # its second byte is 0x5C
    assert dataset.StudyDescription.encode("gb18030")[1:] == b"\\"
    assert tags_of(part10_bytes(dataset))["StudyDescription"] == "昞"


def test_pieces_are_read_as_one() -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset()))
    assert read_tags(header, [dataset[i:i + 7] for i in range(0, len(dataset), 7)]) == read_tags(header, [dataset])


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_uid_is_named(keyword: str) -> None:
    header, _ = part10.split(part10_bytes(slice_dataset()))
    bare = slice_dataset()
    delattr(bare, keyword)
    with pytest.raises(Unusable) as caught:
        read_tags(header, [_encoded(bare)])
    assert caught.value.element == keyword
    assert keyword in caught.value.reason


def test_a_uid_that_is_too_long_is_refused() -> None:
    header, _ = part10.split(part10_bytes(slice_dataset()))
    dataset = slice_dataset()
    dataset.StudyInstanceUID = "1." * 32 + "1"
    with pytest.raises(Unusable, match="StudyInstanceUID"):
        read_tags(header, [_encoded(dataset)])


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, RLELossless], ids=lambda uid: uid.name)
def test_an_object_cut_within_an_element_is_refused(syntax: UID) -> None:
    """A cut exactly between two elements leaves a data set that is whole by its own account."""
    header, dataset = part10.split(part10_bytes(slice_dataset(), syntax))
    plain = inflated(dataset) if syntax.is_deflated else dataset
    within = set(range(1, len(dataset) - 1))
    if not syntax.is_deflated:
        encoding = elements.Encoding(syntax.is_implicit_VR, not syntax.is_little_endian)
        ends = {element.end for element in elements.walk(plain, encoding)}
        within -= ends | {end + 1 for end in ends}  # one zero byte more reads as padding
    for length in random.Random(1).sample(sorted(within), 60):
        with pytest.raises(Rejected):
            read_tags(header, [dataset[:length]])


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
def test_random_bytes_are_refused_and_nothing_else_happens(syntax: UID) -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset(), syntax))
    generator = random.Random(2)
    for _ in range(200):
        damaged = bytearray(dataset)
        for _ in range(generator.randint(1, 40)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        for data in (bytes(damaged), generator.randbytes(generator.randint(1, 400))):
            with contextlib.suppress(Rejected):
                json.dumps(read_tags(header, [data]), allow_nan=False)


def test_endless_nesting_is_refused() -> None:
    header, _ = part10.split(part10_bytes(slice_dataset()))
    opening = bytes.fromhex("08001111 53510000 ffffffff feff00e0 ffffffff".replace(" ", ""))
    with pytest.raises(Unreadable, match="nested"):
        read_tags(header, [opening * 5000])


def test_padding_after_the_last_element_is_no_damage() -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset()))
    assert read_tags(header, [dataset + bytes(13)]) == read_tags(header, [dataset])


def test_an_implicit_data_set_that_is_called_explicit_is_read() -> None:
    header, _ = part10.split(part10_bytes(slice_dataset(), ExplicitVRLittleEndian))
    _, dataset = part10.split(part10_bytes(slice_dataset(), ImplicitVRLittleEndian))
    assert read_tags(header, [dataset])["StudyInstanceUID"] == STUDY


def test_geometry_of_enhanced_objects_comes_from_the_shared_groups() -> None:
    dataset = slice_dataset()
    del dataset.PixelSpacing, dataset.SliceThickness, dataset.ImageOrientationPatient
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.8], 1.25
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    tags = tags_of(part10_bytes(dataset))
    assert (tags["PixelSpacing"], tags["SliceThickness"]) == ([0.7, 0.8], 1.25)
    assert tags["ImageOrientationPatient"] == [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
    assert "SharedFunctionalGroupsSequence" not in tags


def test_the_issuer_of_the_accession_number_is_one_string() -> None:
    dataset, issuer = slice_dataset(), Dataset()
    issuer.LocalNamespaceEntityID = "RIS"
    dataset.IssuerOfAccessionNumberSequence = Sequence([issuer])
    assert tags_of(part10_bytes(dataset))["IssuerOfAccessionNumberSequence"] == "RIS"
    issuer.UniversalEntityID = "1.2.3"
    assert tags_of(part10_bytes(dataset))["IssuerOfAccessionNumberSequence"] == "1.2.3"


def test_extra_keywords_are_read_and_unknown_ones_refused() -> None:
    dataset = slice_dataset()
    dataset.PatientComments, item = "quiet", Dataset()
    item.CodeValue = "T-1"
    dataset.AnatomicRegionSequence = Sequence([item])
    tags = tags_of(part10_bytes(dataset), extra_keywords=("PatientComments", "AnatomicRegionSequence"))
    assert tags["PatientComments"] == "quiet"
    assert tags["AnatomicRegionSequence"] == [{"CodeValue": "T-1"}]
    with pytest.raises(ValueError, match="Nonsense"):
        tags_of(part10_bytes(dataset), extra_keywords=("Nonsense",))


def test_numbers_that_are_none_are_left_out_whole() -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset()))
    tags = read_tags(header, [dataset.replace(b"-100.5\\20.25\\5.0", b"-100.5\\20,25\\5.0")])
    assert "ImagePositionPatient" not in tags
    assert tags["PixelSpacing"] == [0.5, 0.5]


def test_identity_and_what_was_announced() -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset(4)))
    assert identity(header, [dataset])["SOPInstanceUID"] == f"{SERIES}.4"
    require_announced(header, [dataset])
    other, _ = part10.split(part10_bytes(slice_dataset(5)))
    with pytest.raises(Unusable, match="SOPInstanceUID"):
        require_announced(other, [dataset])


def _encoded(dataset: Dataset) -> bytes:
    """Explicit VR little endian, without file meta."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


# ---------------------------------------------------------------- objects that lie alike


@given(st.lists(st.tuples(st.sampled_from(["1.2.3", "1.2.34"]), st.sampled_from(["Doe^Jane", "Müller^Jörg", ""]),
                          st.booleans(), st.integers(1, 4000)), min_size=1, max_size=8))
def test_what_is_recognised_reads_as_what_is_read_element_by_element(
        objects: list[tuple[str, str, bool, int]]) -> None:
    streamer = tag_streamer(("PatientComments",))
    for uid, name, comments, cut in objects:
        dataset = slice_dataset(charset="ISO_IR 192", name=name)
        dataset.SOPInstanceUID = uid
        if comments:
            dataset.PatientComments = "none"
        header, content = part10.split(part10_bytes(dataset))
        stream = streamer(header)
        stream.feed(content[:cut])
        stream.feed(content[cut:])
        told = read_tags(header, [content], ("PatientComments",))
        uids = stream.uids()
        assert dict(uids) == {keyword: told[keyword] for keyword in uids}
        assert {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"} <= uids.keys()
        assert stream.tags() == told


def lain(size: int, uid: str, name: str, item: str, syntax: UID, undefined: bool) -> tuple[bytes, bytes]:
    """Header and data set with a sequence that nobody wants, and one long element."""
    dataset = slice_dataset(charset="ISO_IR 192", name=name)
    dataset.SOPInstanceUID = uid
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = item
    inner.is_undefined_length_sequence_item = undefined
    dataset.ReferencedImageSequence = Sequence([inner])
    dataset["ReferencedImageSequence"].is_undefined_length = undefined
    dataset.PixelData = bytes(size)
    return part10.split(part10_bytes(dataset, syntax))


def whole(stream: TagStream, pieces: list[bytes]) -> tuple[dict[str, str], dict[str, object]]:
    stream.feed_whole(pieces)
    return dict(stream.uids()), stream.tags()


@given(st.lists(st.tuples(st.sampled_from([512, 512, 3000]), st.sampled_from(["1.2.3", "1.2.4", "1.2.34", "1.2.x"]),
                          st.sampled_from(["Doe^Jane", "Roe^Jane", "Müller^Jörg"]), st.sampled_from(["1.5", "1.6"]),
                          st.integers(0, 40)), min_size=2, max_size=8),
       st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]), st.booleans(),
       st.integers(1, 3), st.data())
def test_what_comes_whole_reads_as_what_is_read_element_by_element(
        objects: list[tuple[int, str, str, str, int]], syntax: UID, undefined: bool, fragments: int,
        data: st.DataObject) -> None:
    streamer = tag_streamer()
    for size, uid, name, item, missing in objects:
        header, content = lain(size, uid, name, item, syntax, undefined)
        cut = len(content) - (missing if data.draw(st.integers(0, 3)) == 0 else 0)
        ends = [cut * part // fragments for part in range(fragments + 1)]
        pieces = [content[start:end] for start, end in itertools.pairwise(ends)]
        try:
            told = read_tags(header, pieces)
        except (Unreadable, Unusable) as error:
            with pytest.raises(type(error), match=re.escape(error.reason)):
                whole(streamer(header), pieces)
            continue
        uids, tags = whole(streamer(header), pieces)
        assert tags == told
        assert {keyword: told[keyword] for keyword in uids} == uids
        assert {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"} <= uids.keys()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda uid: uid.name)
def test_one_comparison_knows_a_slice_like_the_last(syntax: UID) -> None:
    streamer = tag_streamer()
    for uid, known in (("1.2.3", False), ("1.2.4", True), ("1.2.5", True)):
        header, content = lain(3000, uid, "Doe^Jane", "1.5", syntax, True)
        stream = streamer(header)
        stream.feed_whole([content])
        assert (stream._whole is not None) is known
        assert stream.uids()["SOPInstanceUID"] == uid


@pytest.mark.parametrize("vr", ["IS", "DS", "US", "UL", "AT", "LO"])
def test_a_uid_written_as_something_else_says_the_same_before_and_after_the_answer(vr: str) -> None:
    header, content = part10.split(part10_bytes(slice_dataset()))
    at = content.index(b"\x08\x00\x18\x00UI")
    length = int.from_bytes(content[at + 6:at + 8], "little")
    changed = content[:at + 4] + vr.encode() + b"\4\0" + b"1234" + content[at + 8 + length:]
    streamer = tag_streamer()
    for _ in range(3):
        stream = streamer(header)
        stream.feed_whole([changed])
        try:
            told = stream.uids()["SOPInstanceUID"]
        except Unusable:
            continue
        assert stream.tags()["SOPInstanceUID"] == told


def test_what_is_declared_deflated_and_is_not_is_refused_whatever_came_before() -> None:
    streamer = tag_streamer()
    plain = slice_dataset()
    header, deflated = part10.split(part10_bytes(plain, DeflatedExplicitVRLittleEndian))
    for _ in range(3):
        stream = streamer(header)
        stream.feed_whole([deflated])
        stream.uids()
    stream = streamer(header)
    with pytest.raises(Unreadable, match="inflated"):
        stream.feed_whole([part10.split(part10_bytes(plain))[1]])


@pytest.mark.parametrize(("keyword", "vr", "value"), [
    (0x00200013, b"IS", b"9" * 400), (0x00080005, b"CS", b"I\0O_IR 100 ")])
def test_no_value_makes_tags_fail_after_the_answer(keyword: int, vr: bytes, value: bytes) -> None:
    header, content = part10.split(part10_bytes(slice_dataset()))
    tag = struct.pack("<HH", keyword >> 16, keyword & 0xFFFF)
    at = content.index(tag + vr)
    length = int.from_bytes(content[at + 6:at + 8], "little")
    changed = content[:at + 6] + len(value).to_bytes(2, "little") + value + content[at + 8 + length:]
    stream = tag_streamer()(header)
    stream.feed_whole([changed])
    stream.uids()
    assert stream.tags()["SOPInstanceUID"]


@pytest.mark.parametrize("broken", [b"\xff" * 8, b"", b"\x08\x00\x18\x00UI\x06\x00"])
def test_an_object_that_only_begins_like_the_last_is_refused_as_ever(broken: bytes) -> None:
    header, content = part10.split(part10_bytes(slice_dataset()))
    streamer = tag_streamer()
    for _ in range(2):
        stream = streamer(header)
        stream.feed(content)
        stream.uids()
    stream = streamer(header)
    stream.feed(content[:len(content) - 400] + broken)
    with pytest.raises(Unreadable):
        stream.uids()
