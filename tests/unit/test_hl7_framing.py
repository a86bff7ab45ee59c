"""MLLP framing: whole messages from any pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7.content.framing import Block, Event, Framer, Stray, TooLong, Truncated, frame

CONTENTS = st.lists(st.binary(max_size=60).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b), max_size=6)
NOISE = st.sampled_from([b"", b"\r\n", b"\x00", b"noise", b"\x1c\r", b"GET / HTTP/1.1\r\n"])


def feed(framer: Framer, data: bytes, cuts: list[int]) -> list[Event]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [e for a, b in pairwise(edges) for e in framer.feed(data[a:b])]


@given(CONTENTS, NOISE, st.lists(st.integers(0, 1000), max_size=20))
def test_messages_come_whole_however_the_bytes_are_split(contents: list[bytes], noise: bytes, cuts: list[int]) -> None:
    data = b"".join(noise + frame(content) for content in contents)
    blocks = [e.content for e in feed(Framer(1000), data, cuts) if isinstance(e, Block)]
    assert blocks == contents


@given(st.integers(0, 30), st.lists(st.integers(0, 1000), max_size=10))
def test_the_limit_holds_to_the_byte_however_the_bytes_are_split(length: int, cuts: list[int]) -> None:
    events = feed(Framer(20), frame(b"x" * length) + frame(b"next"), cuts)
    if length <= 20:
        assert events == [Block(b"x" * length), Block(b"next")]
    else:
        assert len(events) == 1
        assert isinstance(events[0], TooLong)


@given(st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=10))
def test_any_bytes_give_the_same_messages_split_or_not(data: bytes, cuts: list[int]) -> None:
    whole = [e for e in Framer(50).feed(data) if isinstance(e, Block | TooLong)]
    split = [e for e in feed(Framer(50), data, cuts) if isinstance(e, Block | TooLong)]
    assert [type(e) for e in whole] == [type(e) for e in split]
    assert [e for e in whole if isinstance(e, Block)] == [e for e in split if isinstance(e, Block)]


def test_visible_bytes_outside_of_frames_are_told_once_for_each_run() -> None:
    framer = Framer(100)
    assert framer.feed(b"MSH|^~\\&|RIS\r") == [Stray(b"MSH|^~\\&|RIS")]
    assert framer.feed(b"more") == []
    assert framer.strays == 16
    assert framer.feed(frame(b"good") + b" again ") == [Block(b"good"), Stray(b"again")]


def test_noise_that_comes_with_the_next_message_is_skipped() -> None:
    assert Framer(100).feed(b"\r\nnoise" + frame(b"good")) == [Block(b"good")]


def test_blanks_between_messages_are_no_garbage() -> None:
    assert Framer(100).feed(b"\r\n \x00\t") == []


def test_a_message_that_starts_again_replaces_its_unfinished_self() -> None:
    data = b"\x0bMSH|half of it\x0bMSH|whole\r\x1c\r"
    assert Framer(100).feed(data) == [Block(b"MSH|whole\r")]


def test_the_end_in_the_middle_of_a_message_is_told() -> None:
    framer = Framer(100)
    framer.feed(b"\x0bMSH|half")
    assert framer.end() == [Truncated(b"MSH|half")]
    assert framer.feed(frame(b"late")) == []


def test_the_end_between_messages_is_nothing() -> None:
    framer = Framer(100)
    framer.feed(frame(b"good"))
    assert framer.end() == []
