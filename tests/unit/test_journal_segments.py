"""The journal's segments: open as long as needed, who shares their syncs is told, large files go past the memory."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.files import filing, journal, journal_segments
from adapters.files.durable import FileLayer
from adapters.files.store import FileObjectStore
from adapters.files.waiting import Waiting
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


def is_open(path: Path) -> bool:
    return any(opened.exists() and opened.samefile(path) for opened in Path("/proc/self/fd").iterdir())


def test_no_segment_stays_open_that_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 3600)
    store = FileObjectStore(tmp_path / "objects", 0)

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


def test_a_segment_that_cannot_be_closed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NeverCloses(FileLayer):
        segment = -1

        def close(self, descriptor: int) -> None:
            super().close(descriptor)
            if descriptor == self.segment:
                raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(journal, "SETTLE_SECONDS", 3600)
    layer = NeverCloses()
    store = FileObjectStore(tmp_path / "objects", 0, layer)
    first = store.take(HEADER, [b"first"], "1.2", "1.2.1")
    used = store.journal.folder / "0.seg"  # others are being made meanwhile
    layer.segment, = (int(opened.name) for opened in Path("/proc/self/fd").iterdir()
                      if opened.exists() and opened.resolve() == used)
    stored = first.finish("1.2", "1.2.1")  # the last that uses the segment
    assert first.file(stored).outcome is Outcome.STORED
    assert first.file(stored).path == stored.path  # asked again, nothing is counted twice
    layer.segment = -1
    second = store.take(HEADER, [b"second"], "1.2", "1.2.2")
    second.finish("1.2", "1.2.2")
    store.journal.settle()
    FileObjectStore(crashed(tmp_path), 0)
    assert names(tmp_path / "crashed") == ["1.2.1.dcm", "1.2.2.dcm"]


def test_a_file_that_is_asked_for_twice_counts_once(store: FileObjectStore, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 3600)
    first, second = (store.take(HEADER, [b"data"], "1.2", uid) for uid in ("1.2.1", "1.2.2"))
    assert isinstance(first, Waiting)
    for waiting, uid in ((first, "1.2.1"), (second, "1.2.2")):
        waiting.finish("1.2", uid)
    for _ in range(3):
        store.journal.done(first.record)
    store.journal.settle()  # which may not forget the second
    FileObjectStore(crashed(tmp_path), 0)
    assert "1.2.2.dcm" in names(tmp_path / "crashed")


def test_who_is_answered_after_somebody_else_filed_the_same_is_answered_success(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 3600)
    first, second = (store.take(HEADER, [b"data"], "1.2", "1.2.1") for _ in range(2))
    assert second.finish("1.2", "1.2.1").outcome is Outcome.DUPLICATE
    second.abort()
    store.journal.settle()  # the segment is forgotten
    stored = first.finish("1.2", "1.2.1")
    assert Path(first.file(stored).path).read_bytes() == HEADER + b"data"


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
