"""The fast reader: separators, escapes, character sets."""

from __future__ import annotations

from contextlib import suppress

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7.content.charset import Charsets
from adapters.hl7.content.faults import UnreadableMessage
from adapters.hl7.content.segments import Separators, escape, read, unescape
from tests.hl7_samples import msh, order

NAME = "Иванова^Анна"


def message(name: str, charset: str, encoding: str) -> bytes:
    return (msh("ADT^A08", charset=charset) + f"\rPID|1||1||{name}\r").encode(encoding)


@given(st.text())
def test_any_text_survives_escaping(text: str) -> None:
    written = escape(text)
    assert not set("|^~&\r\n") & set(written)
    assert unescape(written, Separators()) == "".join(
        " " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)


@pytest.mark.parametrize(("written", "meant"), [
    (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"), (r"one\.br\two", "one\ntwo"), (r"\H\bold\N\ not", "bold not"),
    (r"\X41D0AF\.", "AЯ."), (r"\Zxx\ stays", r"\Zxx\ stays"), (r"\\server\share", r"\\server\share"), (r"\X00\a", "a"),
    ("lone \\ mark", "lone \\ mark"), (r"\.sp3\x", "\nx"),
])
def test_escapes(written: str, meant: str) -> None:
    assert unescape(written, Separators()) == meant


@pytest.mark.parametrize(("charset", "encoding"), [
    ("UNICODE UTF-8", "utf-8"), ("8859/5", "iso8859-5"), ("UNICODE UTF-16", "utf-16"), ("UNICODE UTF-16", "utf-16-le"),
    ("UNICODE UTF-16", "utf-16-be"), ("GB 18030-2000", "gb18030"), ("unicode  utf-8", "utf-8"), ("UNICODE", "utf-8"),
    ("UNICODE", "utf-16"), ("UNICODE UTF-32", "utf-32"), ("KS X 1001", "euc_kr"), ("WINDOWS-1251", "cp1251"),
    ("~ISO IR87", "iso2022_jp"), ("ASCII~ISO IR87~ISO IR159", "iso2022_jp_ext"), ("8859/5~UNICODE UTF-8", "iso8859-5"),
])
def test_cyrillic_names_in_the_character_set_that_msh_18_names(charset: str, encoding: str) -> None:
    pid = read(message(NAME, charset, encoding)).first("PID")
    assert pid is not None
    assert (pid.get(5), pid.get(5, 2)) == ("Иванова", "Анна")


@pytest.mark.parametrize(("charset", "encoding", "name"), [
    ("BIG-5", "big5", "許功蓋"), ("GB 18030-2000", "gb18030", "王小東"), ("8859/1", "cp1252", "O\u2019Brien"),
    ("8859/15", "iso8859-15", "Œuvre"), ("ISO IR87", "iso2022_jp", "山田"), ("KS X 1001", "euc_kr", "김희중"),
])
def test_bytes_that_look_like_separators_are_part_of_their_character(charset: str, encoding: str, name: str) -> None:
    pid = read(message(name, charset, encoding)).first("PID")
    assert pid is not None
    assert pid.get(5) == name


def test_without_msh_18_the_senders_own_default_holds_then_the_general_one() -> None:
    raw = message(NAME, "", "cp1251")
    known = Charsets(senders={"RIS|HOSP": "WINDOWS-1251"})
    pid = read(raw, known).first("PID")
    assert pid is not None
    assert pid.get(5) == "Иванова"
    with pytest.raises(UnreadableMessage) as refused:
        read(raw, Charsets())
    assert refused.value.element == "MSH-18"


@pytest.mark.parametrize(("charset", "encoding", "code"), [
    ("UNICODE UTF-8", "cp1251", "102"), ("ASCII", "utf-8", "102"), ("8859/5", "utf-8", "102"),
    ("KOI8-R", "koi8-r", "103"), ("CNS 11643-1992", "ascii", "103"),
])
def test_a_wrong_character_set_is_refused_at_msh_18(charset: str, encoding: str, code: str) -> None:
    name = NAME if encoding != "ascii" else "X"
    with pytest.raises(UnreadableMessage) as refused:
        read(message(name, charset, encoding))
    assert (refused.value.element, refused.value.code) == ("MSH-18", code)
    assert "Иван" not in str(refused.value)


@pytest.mark.parametrize("line_end", ["\r", "\r\n", "\n"])
def test_line_ends(line_end: str) -> None:
    found = read(order().decode().replace("\r", line_end).encode())
    assert [s.name for s in found.segments] == ["MSH", "PID", "PV1", "ORC", "OBR"]
    assert found.segments[4].get(18) == "ACC-77"


def test_a_line_feed_inside_a_field_stays_where_cr_ends_the_segments() -> None:
    note = read(order(extra=["NTE|1||first\nsecond"])).first("NTE")
    assert note is not None
    assert note.get(3) == "first\nsecond"


def test_other_separators() -> None:
    raw = order().decode().replace("~", "?").replace("\\", "!").replace("^", "*").replace("|", "#").replace("&", "@")
    obr = read(raw.encode()).first("OBR")
    assert obr is not None
    assert obr.get(4, 2) == "CT Chest"


@pytest.mark.parametrize("raw", [
    b"", b"garbage", b"PID|1", b"MSH", b"MSH|", b"MSH|^~\\", b"MSH|^^^^|x", b"MSHabcde|x", b"MSH|^~\\&|A\rgarbage\r",
    b"MSH|^~\\&|A\r|PID\r", b"\xff\xfe", b"BHS|^~\\&|", b"MSH|^~\\&|A\rPID|\x00",
])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        read(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for candidate in (raw, b"MSH|^~\\&|" + raw):
        with suppress(UnreadableMessage):
            assert read(candidate).header.name == "MSH"


def test_agrees_with_python_hl7_on_an_order() -> None:
    raw = order()
    theirs, ours = hl7.parse(raw.decode()), read(raw)
    for number in range(1, len(theirs)):
        name = str(theirs[number][0])
        segment = ours.segments[number]
        assert segment.name == name
        for field in range(1, len(theirs[number])):
            assert segment.raw(field) == str(theirs[number][field])


def test_msh_fields_keep_their_numbers() -> None:
    header = read(order()).header
    assert (header.raw(1), header.raw(2), header.get(3), header.get(10), header.raw(18)) == (
        "|", "^~\\&", "RIS", "C1", "UNICODE UTF-8")


def test_explicit_null_reads_as_empty() -> None:
    pid = read(order(pid='PID|1||1001||""')).first("PID")
    assert pid is not None
    assert pid.get(5) == ""
    assert pid.repetitions(5) == []
