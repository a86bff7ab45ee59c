"""What waits in the journal for its file: restored whatever happens, in any order, and nothing that was not wanted."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.dicom.content import part10
from adapters.files import filing, journal, journal_records, journal_segments
from adapters.files.durable import FileLayer
from adapters.files.incoming import IncomingFile
from adapters.files.store import FileObjectStore
from gateway.errors import StorageFull, Transient
from gateway.ports import Outcome, Stored

HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "CT"))
SLICE = 525_000
"""Bytes of a CT slice: more than waits in memory, less than has a scratch file."""


@pytest.fixture(autouse=True)
def no_segments_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made while a test looks."""
    monkeypatch.setattr(journal, "AHEAD", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileObjectStore]:
    made = FileObjectStore(tmp_path / "objects", 0)
    yield made
    made.close()


def begun(store: FileObjectStore, content: bytes) -> IncomingFile:
    incoming = store.begin(HEADER)
    for at in range(0, len(content), 100_000):
        incoming.write(content[at:at + 100_000])
    return incoming


def answered(store: FileObjectStore, uid: str, content: bytes) -> tuple[IncomingFile, Stored]:
    """Durable, without a file of its own."""
    incoming = begun(store, content)
    incoming.stage("1.2", uid)
    return incoming, incoming.finish("1.2", uid)


def crashed(tmp_path: Path) -> Path:
    """The disk as it is now, its journal held by nobody any more."""
    shutil.copytree(tmp_path / "objects", tmp_path / "crashed")
    return tmp_path / "crashed"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.dcm"))


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


def test_no_segment_stays_open_that_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 3600)
    store = FileObjectStore(tmp_path / "objects", 0)

    def is_open(path: Path) -> bool:
        return any(opened.exists() and opened.samefile(path) for opened in Path("/proc/self/fd").iterdir())

    for number in range(2 * journal_segments.SEGMENT // SLICE + 2):
        coming = store.take(HEADER, [bytes(SLICE)], "1.2", f"1.2.{number}")
        coming.finish("1.2", f"1.2.{number}")
        coming.abort()
    for number in range(3):
        store.take(HEADER, [bytes(SLICE)], "1.2", f"1.3.{number}").abort()  # never synced
    segments = sorted((tmp_path / "objects" / "journal").glob("*/*.seg"))
    assert len(segments) == 3
    assert not any(map(is_open, segments))
    used = store.take(HEADER, [bytes(SLICE)], "1.2", "1.4")
    assert sum(map(is_open, segments)) == 1
    used.finish("1.2", "1.4")
    used.abort()
    assert not any(map(is_open, segments))
    store.close()
    assert not list((tmp_path / "objects" / "journal").glob("*"))


def test_all_who_shared_a_failed_sync_are_told(tmp_path: Path) -> None:
    """Linux tells once that it could not write, and succeeds when it is asked again."""

    class FailsOnce(FileLayer):
        failures = 0

        def sync_file(self, descriptor: int) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EIO, "injected")
            super().sync_file(descriptor)

    layer = FailsOnce()
    store = FileObjectStore(tmp_path / "objects", 0, layer)
    coming = begun(store, bytes(SLICE))
    before, *shared = [begun(store, bytes(100)) for _ in range(4)]
    before.stage("1.2", "1.2.1")
    before.finish("1.2", "1.2.1")
    for number, incoming in enumerate(shared, 2):
        incoming.stage("1.2", f"1.2.{number}")
    layer.failures = 1
    for number, incoming in enumerate(shared, 2):
        with pytest.raises(Transient):
            incoming.finish("1.2", f"1.2.{number}")
    coming.stage("1.2", "1.2.8")
    with pytest.raises(Transient):  # a part of it may have been among what was not written
        coming.finish("1.2", "1.2.8")
    incoming, stored = answered(store, "1.2.9", b"later")
    assert incoming.file(stored).outcome is Outcome.STORED
    store.close()


def written_past_memory(store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that are from now on; so much waits."""
    sizes: list[int] = []
    write = FileLayer.write_past_cache

    def noting(self: FileLayer, descriptor: int, piece: memoryview) -> int:
        sizes.append(len(piece))
        return write(self, descriptor, piece)

    monkeypatch.setattr(FileLayer, "write_past_cache", noting)
    monkeypatch.setattr(filing, "MUCH", 2 * SLICE)
    return sizes


def test_large_files_go_past_the_systems_memory_while_much_waits(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = written_past_memory(store, monkeypatch)
    contents = {f"1.2.{number}": bytes([number]) * (SLICE + number) for number in range(4)}
    waiting = [answered(store, uid, content) for uid, content in contents.items()]
    for (incoming, stored), content in zip(waiting, contents.values(), strict=True):
        filed = incoming.file(stored)
        assert Path(filed.path).read_bytes() == HEADER + content
        assert filed.digest == hashlib.sha256(content).hexdigest()
    assert sizes == [len(HEADER) + SLICE + number for number in range(3)]  # the last waited alone


def test_a_disk_that_is_full_amid_a_large_file_leaves_nothing_of_it(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written_past_memory(store, monkeypatch)
    waiting = [answered(store, f"1.2.{number}", bytes(SLICE)) for number in range(4)]
    incoming, stored = waiting[0]
    write = os.pwrite

    def half(descriptor: int, piece: memoryview, offset: int) -> int:
        if offset:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, piece[:len(piece) // 2 // 4096 * 4096], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(StorageFull):
            incoming.file(stored)
    assert not Path(stored.path).exists()
    assert incoming.file(stored).path == stored.path
    assert Path(stored.path).read_bytes() == HEADER + bytes(SLICE)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 3 * 4096 + 512, SLICE])
@pytest.mark.parametrize("folder", ["", "/dev/shm"])
def test_what_is_written_past_the_systems_memory_is_all_there(tmp_path: Path, folder: str, size: int) -> None:
    layer, memory = FileLayer(), memoryview(mmap.mmap(-1, max(1, size)))[:size]
    memory[:] = os.urandom(size)
    with tempfile.TemporaryDirectory(dir=folder or tmp_path) as name:
        descriptor = layer.create(Path(name) / "file")
        try:
            assert layer.write_past_cache(descriptor, memory) == size
            assert not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT
        finally:
            layer.close(descriptor)
        assert (Path(name) / "file").read_bytes() == memory


def test_a_file_system_that_takes_nothing_past_its_memory_gets_it_as_usual(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite

    def refusing(descriptor: int, piece: memoryview, offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "not here")
        return write(descriptor, piece, offset)

    monkeypatch.setattr(os, "pwrite", refusing)
    layer = FileLayer()
    descriptor = layer.create(tmp_path / "file")
    try:
        assert layer.write_past_cache(descriptor, memoryview(bytes(9000))) == 9000
    finally:
        layer.close(descriptor)
    assert (tmp_path / "file").read_bytes() == bytes(9000)


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
