"""What waits in the journal for its file: restored whatever happens, in any order, and nothing that was not wanted."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.files import filing, journal, journal_records, journal_segments
from adapters.files.durable import FileLayer
from adapters.files.incoming import IncomingFile
from adapters.files.store import FileObjectStore
from gateway.errors import StorageFull, Transient
from gateway.ports import Outcome
from tests.journaled import HEADER, SLICE, answered, begun, crashed, names


@pytest.fixture(autouse=True)
def no_segments_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made while a test looks."""
    monkeypatch.setattr(journal, "AHEAD", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileObjectStore]:
    made = FileObjectStore(tmp_path / "objects", 0)
    yield made
    made.close()


@pytest.mark.parametrize("size", [10, 20_000, SLICE])
def test_what_was_answered_is_there_after_a_crash(store: FileObjectStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    incoming, stored = answered(store, "1.2.3", content)
    assert not Path(stored.path).exists()
    assert names(crashed(tmp_path)) == []
    FileObjectStore(tmp_path / "crashed", 0)
    restored, = (tmp_path / "crashed").rglob("*.dcm")
    assert restored.name == "1.2.3.dcm"
    assert restored.read_bytes() == HEADER + content
    filed = incoming.file(stored)
    assert (filed.path, filed.outcome) == (stored.path, Outcome.STORED)
    assert Path(stored.path).read_bytes() == HEADER + content
    assert filed.digest == hashlib.sha256(content).hexdigest()


def test_what_comes_at_the_same_time_is_restored_and_what_was_given_up_is_not(
        store: FileObjectStore, tmp_path: Path) -> None:
    contents = {f"1.2.{number}": os.urandom(SLICE) for number in range(6)}
    coming = {uid: begun(store, content) for uid, content in contents.items()}
    coming["1.2.1"].abort()
    coming["1.2.2"].stage("1.2", "1.2.2")
    coming["1.2.2"].abort()
    for uid in ("1.2.5", "1.2.0", "1.2.4"):
        coming[uid].stage("1.2", uid)
        coming[uid].finish("1.2", uid)
    crashed(tmp_path)
    FileObjectStore(tmp_path / "crashed", 0)
    there = {path.stem: path.read_bytes() for path in (tmp_path / "crashed").rglob("*.dcm")}
    assert there == {uid: HEADER + contents[uid] for uid in ("1.2.0", "1.2.4", "1.2.5")}
    coming["1.2.3"].abort()


def test_an_object_of_which_the_disk_has_only_a_part_is_not_restored(store: FileObjectStore, tmp_path: Path) -> None:
    answered(store, "1.2.3", os.urandom(SLICE))
    answered(store, "1.2.4", os.urandom(SLICE))
    root = crashed(tmp_path)
    segment, = root.rglob("*.seg")
    with segment.open("r+b") as file:
        file.seek(300_000)
        file.write(bytes(4096))
    FileObjectStore(root, 0)
    assert names(root) == ["1.2.4.dcm"]


def test_the_same_and_other_content_are_told_while_the_first_waits(store: FileObjectStore) -> None:
    first, stored = answered(store, "1.2.3", b"one" * 100_000)
    again, same = answered(store, "1.2.3", b"one" * 100_000)
    other, beside = answered(store, "1.2.3", b"two" * 100_000)
    assert (stored.outcome, same.outcome, beside.outcome) == (Outcome.STORED, Outcome.DUPLICATE, Outcome.CONFLICT)
    assert [first.file(stored).path, again.file(same), other.file(beside)] == [stored.path, same, beside]
    assert Path(stored.path).read_bytes() == HEADER + b"one" * 100_000
    assert Path(beside.path).read_bytes() == HEADER + b"two" * 100_000


@pytest.mark.parametrize(("content", "outcome"), [(b"one", Outcome.DUPLICATE), (b"two", Outcome.CONFLICT)])
def test_two_processes_that_take_one_name_keep_both_contents(store: FileObjectStore, tmp_path: Path, content: bytes,
                                                             outcome: Outcome) -> None:
    others = FileObjectStore(tmp_path / "objects", 0)
    mine, stored = answered(store, "1.2.3", b"one")
    theirs, told = answered(others, "1.2.3", content)
    assert told.outcome is Outcome.STORED
    assert mine.file(stored).outcome is Outcome.STORED
    filed = theirs.file(told)
    assert filed.outcome is outcome
    assert Path(filed.path).read_bytes() == HEADER + content
    others.close()
    root = crashed(tmp_path)
    before = {path.name: path.read_bytes() for path in root.rglob("*.dcm")}
    FileObjectStore(root, 0)
    assert {path.name: path.read_bytes() for path in root.rglob("*.dcm")} == before


def test_what_cannot_get_its_file_waits_and_senders_are_told_meanwhile(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming, stored = answered(store, "1.2.3", b"data")
    create = FileLayer.create

    def failing(self: FileLayer, path: Path | str) -> int:
        if str(path).endswith(".seg"):
            return create(self, path)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(FileLayer, "create", failing)
        with pytest.raises(StorageFull):
            incoming.file(stored)
        with pytest.raises(StorageFull):
            answered(store, "1.2.4", b"data")
        with pytest.raises(StorageFull):
            answered(store, "1.2.5", bytes(SLICE))
    assert incoming.file(stored).path == stored.path
    assert Path(stored.path).read_bytes() == HEADER + b"data"


def test_what_still_waits_at_the_end_is_restored_at_the_next_start(tmp_path: Path) -> None:
    store = FileObjectStore(tmp_path, 0)
    _, stored = answered(store, "1.2.3", b"data")
    store.close()
    assert not Path(stored.path).exists()
    FileObjectStore(tmp_path, 0)
    assert Path(stored.path).read_bytes() == HEADER + b"data"
    assert list((tmp_path / "journal").iterdir()) == []


def test_nothing_that_was_deleted_comes_back_from_the_journal_of_another_process(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    receiving, deleting = FileObjectStore(root, 0), FileObjectStore(root, 0)
    kept = [receiving.put("1.2", f"1.2.{number}", HEADER, [bytes(size)]) for number, size in enumerate((10, SLICE, 20))]
    deleting.delete(kept[1].path)
    shutil.rmtree(crashed(tmp_path) / Path(kept[0].path).relative_to(root).parent)  # what a power cut takes
    FileObjectStore(tmp_path / "crashed", 0)
    assert names(tmp_path / "crashed") == ["1.2.0.dcm", "1.2.2.dcm"]


def test_a_full_journal_leaves_objects_to_files_of_their_own(store: FileObjectStore, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_segments, "MOST_SEGMENTS", 1)
    most = journal_segments.SEGMENT // (filing.LONGEST_JOURNALED + 8192)
    size = filing.LONGEST_JOURNALED - len(HEADER)
    waiting = [answered(store, f"1.2.{number}", bytes([number]) * size) for number in range(most + 2)]
    filed = [incoming.file(stored) for incoming, stored in waiting]
    assert len(names(tmp_path / "objects")) == most + 2
    assert {one.outcome for one in filed} == {Outcome.STORED}


# ---------------------------------------------------------------- what comes whole


@pytest.mark.parametrize("pieces", [[b"abc"], [b"a" * 131_060, b"b" * 131_060, b"c"], [b"x"] * 3000, []])
def test_what_came_whole_is_as_what_came_in_pieces(store: FileObjectStore, pieces: list[bytes]) -> None:
    incoming = store.take(HEADER, pieces, "1.2", "1.2.3")
    stored = incoming.file(incoming.finish("1.2", "1.2.3"))
    content = b"".join(pieces)
    assert Path(stored.path).read_bytes() == HEADER + content
    assert (stored.digest, stored.size) == (hashlib.sha256(content).hexdigest(), len(HEADER) + len(content))


def test_what_came_whole_is_there_after_a_crash(store: FileObjectStore, tmp_path: Path) -> None:
    incoming = store.take(HEADER, [b"a" * 200_000, b"b"], "1.2", "1.2.3")
    incoming.finish("1.2", "1.2.3")
    after = FileObjectStore(crashed(tmp_path), 0)
    assert [Path(path).read_bytes() for path in after.walk(0)] == [HEADER + b"a" * 200_000 + b"b"]
    incoming.abort()


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_what_came_whole_and_may_not_go_to_the_journal_is_stored_all_the_same(store: FileObjectStore,
                                                                              size: int) -> None:
    store.put("1.2", "1.2.3", HEADER, [b"other"])
    incoming = store.take(HEADER, [bytes(size)], "1.2", "1.2.3")
    stored = incoming.finish("1.2", "1.2.3")
    assert (stored.outcome, Path(stored.path).read_bytes()) == (Outcome.CONFLICT, HEADER + bytes(size))


def test_a_disk_that_takes_less_than_asked_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda descriptor, pieces, at: write(descriptor, [pieces[0][:3]], at))
    layer = FileLayer()
    descriptor = layer.create(tmp_path / "file")
    assert layer.gather_at(descriptor, [b"0123", b"45", b"", b"6"], 2) == 7
    layer.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"\0\0" + b"0123456"


def test_a_journal_of_an_earlier_release_is_restored(store: FileObjectStore, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_records, "_MAGIC", b"TGJ4")
    monkeypatch.setattr(journal_records, "value_of", lambda _: zlib.crc32(b"data"))
    incoming = store.take(HEADER, [b"data"], "1.2", "1.2.3")
    incoming.finish("1.2", "1.2.3")
    monkeypatch.undo()
    assert [Path(path).read_bytes() for path in FileObjectStore(crashed(tmp_path), 0).walk(0)] == [HEADER + b"data"]
    incoming.abort()


def test_a_whole_object_that_is_dropped_is_nowhere(store: FileObjectStore, tmp_path: Path) -> None:
    store.take(HEADER, [b"data"], "1.2", "1.2.3").abort()
    assert list(store.walk(0)) == []
    assert list(FileObjectStore(crashed(tmp_path), 0).walk(0)) == []


def test_a_whole_object_whose_name_was_taken_in_the_journal_or_on_disk_is_compared(store: FileObjectStore) -> None:
    first = store.take(HEADER, [b"data"], "1.2", "1.2.3")
    first.finish("1.2", "1.2.3")
    for content, outcome in ((b"data", Outcome.DUPLICATE), (b"other", Outcome.CONFLICT)):
        again = store.take(HEADER, [content], "1.2", "1.2.3")
        assert again.finish("1.2", "1.2.3").outcome is outcome
        again.abort()


def sent_twice(store: FileObjectStore) -> IncomingFile:
    """The first of two that bring the same at the same time: staged when the second is answered."""
    first = begun(store, b"data")
    first.stage("1.2", "1.2.3")
    assert store.put("1.2", "1.2.3", HEADER, [b"data"]).outcome is Outcome.DUPLICATE
    return first


def without_what_was_not_synced(root: Path) -> list[bytes]:
    """The files after a power cut that left those empty which only the journal has made durable."""
    for path in root.rglob("*.dcm"):
        path.write_bytes(b"")
    FileObjectStore(root, 0)
    return sorted(path.read_bytes() for path in root.rglob("*.dcm"))


def test_who_was_told_that_it_is_here_may_rely_on_it_though_the_first_breaks_off(
        store: FileObjectStore, tmp_path: Path) -> None:
    sent_twice(store).abort()
    assert without_what_was_not_synced(crashed(tmp_path)) == [HEADER + b"data"]


def test_who_was_told_that_it_is_here_may_rely_on_it_before_the_first_is_answered(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = FileLayer.sync_file
    monkeypatch.setattr(FileLayer, "sync_file", lambda self, descriptor: (synced.append(descriptor),
                                                                          sync(self, descriptor))[1])
    first = begun(store, b"data")
    first.stage("1.2", "1.2.3")
    synced.clear()
    store.put("1.2", "1.2.3", HEADER, [b"data"])
    assert len(synced) == 1
    stored = first.finish("1.2", "1.2.3")
    assert len(synced) == 1
    assert Path(first.file(stored).path).read_bytes() == HEADER + b"data"


def test_a_disk_that_fails_is_told_to_both_who_bring_the_same(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = begun(store, b"data")
    first.stage("1.2", "1.2.3")

    def failing(_self: FileLayer, _descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(FileLayer, "sync_file", failing)
        with pytest.raises(Transient):
            store.put("1.2", "1.2.3", HEADER, [b"data"])
    with pytest.raises(Transient):  # Linux tells it once
        first.finish("1.2", "1.2.3")
    assert store.put("1.2", "1.2.3", HEADER, [b"data"]).outcome is Outcome.STORED


def test_what_breaks_off_after_somebody_brought_the_same_takes_nothing_else_with_it(
        store: FileObjectStore, tmp_path: Path) -> None:
    first = sent_twice(store)
    answered(store, "1.2.4", b"other")
    first.abort()
    store.journal.settle()
    FileObjectStore(crashed(tmp_path), 0)
    assert names(tmp_path / "crashed") == ["1.2.3.dcm", "1.2.4.dcm"]
