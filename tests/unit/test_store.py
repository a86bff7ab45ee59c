"""The object store: durable, never overwriting, nothing left after a failure."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.dicom.content import part10
from adapters.files.durable import FileLayer
from adapters.files.store import FileObjectStore, file_name
from gateway.errors import Permanent, StorageFull, Transient
from gateway.ports import Outcome

HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "CT"))
OTHER_HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "ANOTHER"))


@pytest.fixture
def store(tmp_path: Path) -> FileObjectStore:
    return FileObjectStore(tmp_path / "objects", 0)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_an_object_is_stored_as_it_came(store: FileObjectStore, tmp_path: Path) -> None:
    stored = store.put("1.2.840.1", "1.2.3", HEADER, iter([b"data", b"", b" set"]))
    assert Path(stored.path).read_bytes() == HEADER + b"data set"
    assert stored.outcome is Outcome.STORED
    assert stored.digest == hashlib.sha256(b"data set").hexdigest()
    assert stored.size == len(HEADER) + 8
    shard = hashlib.sha1(b"1.2.840.1").hexdigest()[:2]
    assert files(tmp_path / "objects") == [f"{shard}/1.2.840.1/1.2.3.dcm"]
    assert list(store.walk(0)) == [stored.path]


def test_the_same_data_set_again_is_a_duplicate_whatever_its_header(store: FileObjectStore, tmp_path: Path) -> None:
    first = store.put("1.2", "1.2.3", HEADER, [b"same"])
    again = store.put("1.2", "1.2.3", OTHER_HEADER, [b"sa", b"me"])
    assert (again.outcome, again.path, again.digest) == (Outcome.DUPLICATE, first.path, first.digest)
    assert len(files(tmp_path)) == 1


def test_other_content_is_kept_beside_the_first(store: FileObjectStore) -> None:
    first = store.put("1.2", "1.2.3", HEADER, [b"one"])
    other = store.put("1.2", "1.2.3", HEADER, [b"two"])
    assert other.outcome is Outcome.CONFLICT
    assert Path(other.path).name == f"1.2.3.{other.digest[:8]}.dcm"
    assert Path(first.path).read_bytes() == HEADER + b"one"
    assert store.put("1.2", "1.2.3", HEADER, [b"two"]).outcome is Outcome.DUPLICATE
    assert sorted(store.walk(0)) == sorted([first.path, other.path])


@pytest.mark.parametrize("uid", ["../../etc/passwd", "..", ".", "", "1..2", "1.2/../3", "1.2\0", "1." * 40 + "1",
                                 "1.2.", "x" * 300, "1.2\n", "/abs", "１.２", "1.2.3.dcm"])
def test_no_uid_leads_out_of_the_store(store: FileObjectStore, tmp_path: Path, uid: str) -> None:
    stored = store.put(uid, uid, HEADER, [uid.encode("utf-8", "surrogatepass")])
    path = Path(stored.path)
    assert path.resolve().is_relative_to(tmp_path / "objects")
    assert len(path.relative_to(tmp_path / "objects").parts) == 3
    assert file_name(uid) not in {file_name("1.2"), file_name(uid + "0")}
    assert store.put(uid, uid, HEADER, [uid.encode("utf-8", "surrogatepass")]).outcome is Outcome.DUPLICATE


def test_many_senders_of_one_object_leave_one_copy(store: FileObjectStore, tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    start = threading.Barrier(8)

    def send(number: int) -> None:
        start.wait()
        outcomes.append(store.put("1.2", "1.2.3", HEADER, [b"same" if number % 4 else b"other"]).outcome)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted([Outcome.STORED, Outcome.CONFLICT, *[Outcome.DUPLICATE] * 6])
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize(("number", "raised"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull),
                                                (errno.EIO, Transient)])
def test_a_failing_write_leaves_nothing(store: FileObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        number: int, raised: type[Exception]) -> None:
    written = FileLayer.write

    def failing(self: FileLayer, descriptor: int, piece: bytes) -> int:
        if b"second" in bytes(piece):
            raise OSError(number, os.strerror(number))
        return written(self, descriptor, piece)

    with monkeypatch.context() as patch:
        patch.setattr(FileLayer, "write", failing)
        with pytest.raises(raised) as caught:
            store.put("1.2", "1.2.3", HEADER, [b"first", b"second"])
    assert type(caught.value) is raised
    assert "1.2" not in str(caught.value)
    assert files(tmp_path) == []
    assert store.put("1.2", "1.2.3", HEADER, [b"first", b"second"]).outcome is Outcome.STORED


def test_a_directory_that_cannot_be_synced_leaves_nothing(store: FileObjectStore, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("1.2", "1.2.1", HEADER, [b"before"])

    def failing(self: FileLayer, directory: Path) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(FileLayer, "sync_directory", failing)
        with pytest.raises(Transient):
            store.put("1.2", "1.2.3", HEADER, [b"data"])
    assert [Path(name).name for name in files(tmp_path)] == ["1.2.1.dcm"]


def test_an_object_that_breaks_off_leaves_nothing(store: FileObjectStore, tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(Transient):
        store.put("1.2", "1.2.3", HEADER, breaking())
    assert files(tmp_path) == []


def test_the_free_space_floor_stops_everything(tmp_path: Path) -> None:
    store = FileObjectStore(tmp_path, 2**62)
    with pytest.raises(StorageFull):
        store.put("1.2", "1.2.3", HEADER, [b"data"])
    assert files(tmp_path) == []
    assert 0 < store.used_share() < 1
    assert store.free_bytes() > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_file_system_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        store = FileObjectStore(small, 0)
        with pytest.raises(StorageFull):
            store.put("1.2", "1.2.3", HEADER, [bytes(64 * 1024)] * 8)
        assert files(small) == []
        assert store.put("1.2", "1.2.3", HEADER, [bytes(1024)]).outcome is Outcome.STORED
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_a_dead_process_left_goes_at_the_next_start_and_what_lives_stays(tmp_path: Path) -> None:
    store = FileObjectStore(tmp_path, 0)
    left = tmp_path / ".incoming" / "999-0-0.part"
    left.write_bytes(b"half an object")
    reached, finish = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"first"
        reached.set()
        finish.wait(10)
        yield b"second"

    outcome: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcome.append(store.put("1.2", "1.2.3", HEADER, slowly()).outcome))
    thread.start()
    reached.wait(10)
    FileObjectStore(tmp_path, 0)
    assert not left.exists()
    finish.set()
    thread.join()
    assert outcome == [Outcome.STORED]


def test_walk_gives_only_what_changed_since(store: FileObjectStore) -> None:
    old = store.put("1.2.1", "1.2.3", HEADER, [b"old"])
    new = store.put("1.2.2", "1.2.4", HEADER, [b"new"])
    os.utime(Path(old.path).parent, (1000, 1000))
    assert list(store.walk(2000)) == [new.path]
    assert sorted(store.walk(1000)) == sorted([old.path, new.path])


def test_delete_stays_within_the_store(store: FileObjectStore, tmp_path: Path) -> None:
    stored = store.put("1.2", "1.2.3", HEADER, [b"data"])
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(b"mine")
    for path in (str(outside), f"{Path(stored.path).parent}/../../../outside.dcm", str(tmp_path / "objects")):
        with pytest.raises(Permanent):
            store.delete(path)
    assert outside.exists()
    store.delete(stored.path)
    store.delete(stored.path)
    assert list(store.walk(0)) == []
    assert not Path(stored.path).parent.exists()
    assert store.put("1.2", "1.2.3", HEADER, [b"data"]).outcome is Outcome.STORED


def test_everything_is_synced_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileObjectStore(tmp_path, 0)
    calls: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

    def spy(name: str) -> None:
        def noted(descriptor: int) -> None:
            calls.append(f"{name} {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")
            real[name](descriptor)
        monkeypatch.setattr(os, name, noted)

    spy("fsync")
    spy("fdatasync")
    stored = store.put("1.2", "1.2.3", HEADER, [b"data"])
    study = Path(stored.path).parent.relative_to(tmp_path)
    assert calls[:2] == ["fsync .", f"fsync {study.parent}"]
    assert calls[2].startswith("fdatasync .incoming/")
    assert calls[3] == f"fsync {study}"


