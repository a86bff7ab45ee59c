"""The object store: durable, never overwriting, nothing left after a failure."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dicom.content import part10
from adapters.files import journal
from adapters.files.durable import FileLayer
from adapters.files.journal import Journal
from adapters.files.journal_records import Check, Entry, records, value_of
from adapters.files.journal_segments import Record
from adapters.files.object_files import file_name
from adapters.files.store import FileObjectStore
from gateway.errors import Permanent, StorageFull, Transient
from gateway.ports import Outcome

HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "CT"))
OTHER_HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "ANOTHER"))
LARGE = b"data" * 250_000
"""More than is kept in memory, and than goes to the journal."""


@pytest.fixture(autouse=True)
def no_segments_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made while a test looks."""
    monkeypatch.setattr(journal, "AHEAD", 0)


@pytest.fixture
def store(tmp_path: Path) -> FileObjectStore:
    return FileObjectStore(tmp_path / "objects", 0)


def files(root: Path) -> list[str]:
    """Without the journal and the locks, which stay."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")
                  if path.is_file() and path.suffix not in {".seg", ".lock"})


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
            store.put("1.2", "1.2.3", HEADER, [LARGE])
    assert [Path(name).name for name in files(tmp_path)] == ["1.2.1.dcm"]


def test_an_object_that_breaks_off_leaves_nothing(store: FileObjectStore, tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(Transient):
        store.put("1.2", "1.2.3", HEADER, breaking())
    assert files(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 100, 5000, 9000])
def test_what_a_process_died_of_writing_is_no_conflict(tmp_path: Path, kept: int) -> None:
    content = os.urandom(10_000)
    before = FileObjectStore(tmp_path / "objects", 0)
    name = Path(before.put("1.2", "1.2.3", HEADER, [content]).path).relative_to(tmp_path / "objects")
    store = FileObjectStore(tmp_path / "crashed", 0)
    shutil.copytree(tmp_path / "objects" / "journal", tmp_path / "crashed" / "journal")
    path = tmp_path / "crashed" / name
    path.parent.mkdir(parents=True)
    path.write_bytes((HEADER + content)[:kept])
    assert store.put("1.2", "1.2.3", HEADER, [content]).outcome is Outcome.DUPLICATE
    assert path.read_bytes() == HEADER + content
    assert len(files(tmp_path / "crashed")) == 1


@pytest.mark.parametrize(("first", "second"), [
    (b"abc" * 3000, b"abc" * 3000 + b"trailing padding"), (b"head" + bytes(9000), b"head" + bytes(4000) + b"x" * 5000),
    (b"", b"anything")], ids=["the same and more", "black pixels and others", "nothing and something"])
def test_an_object_that_looks_like_the_beginning_of_another_is_never_overwritten(
        store: FileObjectStore, first: bytes, second: bytes) -> None:
    kept = store.put("1.2", "1.2.3", HEADER, [first])
    other = store.put("1.2", "1.2.3", HEADER, [second])
    assert other.outcome is Outcome.CONFLICT
    assert [Path(one.path).read_bytes() for one in (kept, other)] == [HEADER + first, HEADER + second]


SENDS = """
import sys
from pathlib import Path
from adapters.dicom.content import part10
from adapters.files.store import FileObjectStore
store = FileObjectStore(Path(sys.argv[1]), 0)
print("ready", flush=True)
header = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1"))
for number in map(int, sys.stdin):
    content = b"same" if number % 2 else sys.argv[2].encode()
    stored = store.put("1.2", f"1.2.{number}", header, [content * 5000])
    print(stored.outcome.value, stored.path, content.decode(), flush=True)
"""


def test_processes_that_store_one_uid_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    """Without a lock among them, one would take the file that the other has just begun for what a crash left."""
    senders = [subprocess.Popen([sys.executable, "-c", SENDS, str(tmp_path), content], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for content in ("mine", "your")]
    try:
        told = []
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
        for number in range(300):
            for sender in senders:
                assert sender.stdin is not None
                sender.stdin.write(f"{number}\n")
                sender.stdin.flush()
            for sender in senders:
                assert sender.stdout is not None
                outcome, path, content = sender.stdout.readline().split()
                told.append((number, outcome, content))
                assert part10.split(Path(path).read_bytes())[1] == content.encode() * 5000
        assert sorted(one for one in told if one[0] % 2) == sorted(
            (number, outcome, "same") for number in range(1, 300, 2) for outcome in ("duplicate", "stored"))
    finally:
        for sender in senders:
            sender.communicate()


def test_other_content_beside_a_file_without_any_is_a_conflict(store: FileObjectStore) -> None:
    path = Path(store.put("1.2", "1.2.3", HEADER, [b"one"]).path)
    path.write_bytes(b"")
    large = store.put("1.2", "1.2.3", HEADER, [bytes(1_000_000)])
    assert large.outcome is Outcome.CONFLICT
    assert Path(large.path) != path


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
        store.close()
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


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each sync of a file or directory, below `tmp_path`, as it is made."""
    calls: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

    def spy(name: str) -> None:
        def noted(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_relative_to(tmp_path):  # journals of other tests settle when they like
                calls.append(f"{name} {path.relative_to(tmp_path)}")
            real[name](descriptor)
        monkeypatch.setattr(os, name, noted)

    spy("fsync")
    spy("fdatasync")
    return calls


def test_everything_is_synced_before_the_answer(tmp_path: Path, synced: list[str]) -> None:
    store = FileObjectStore(tmp_path, 0)
    store.put("1.1", "1.1.1", HEADER, [LARGE])
    synced.clear()
    stored = store.put("1.2", "1.2.3", HEADER, [LARGE])
    study = Path(stored.path).parent.relative_to(tmp_path)
    assert synced[:2] == ["fsync .", f"fsync {study.parent}"]
    assert synced[2].startswith("fdatasync .incoming/")
    assert synced[3:] == [f"fsync {study}"]


def test_a_small_object_is_synced_in_the_journal_before_the_answer(tmp_path: Path, synced: list[str]) -> None:
    store = FileObjectStore(tmp_path, 0)
    store.put("1.2", "1.2.3", HEADER, [b"data"])
    synced.clear()
    store.put("1.2", "1.2.4", HEADER, [b"data"])
    (folder,) = (tmp_path / "journal").iterdir()
    assert synced == [f"fdatasync journal/{folder.name}/0.seg"]


# ---------------------------------------------------------------- the journal


def crashed(root: Path, *names: str) -> Path:
    """The disk as it is now with the named files cut short, its journal held by nobody any more."""
    copy = root.with_name("crashed")
    shutil.copytree(root, copy)
    for name in names:
        (copy / name).write_bytes((copy / name).read_bytes()[:100])
    return copy


def test_what_a_power_cut_took_is_restored_from_the_journal(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    store = FileObjectStore(root, 0)
    stored = [store.put("1.2", f"1.2.{n}", HEADER, [bytes([n]) * n * 1000]) for n in range(1, 4)]
    names = [str(Path(one.path).relative_to(root)) for one in stored]
    after = crashed(root, names[0])
    (after / names[1]).unlink()
    FileObjectStore(after, 0)
    assert [(after / name).read_bytes() for name in names] == [Path(one.path).read_bytes() for one in stored]
    assert list((after / "journal").iterdir()) == []


def test_a_journal_never_overwrites_what_another_has_stored(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    stored = FileObjectStore(root, 0).put("1.2", "1.2.3", HEADER, [b"mine" * 2000])
    after = crashed(root)
    path = after / Path(stored.path).relative_to(root)
    path.write_bytes(HEADER + b"other" * 2000)
    restored = FileObjectStore(after, 0)
    assert path.read_bytes() == HEADER + b"other" * 2000
    assert {Path(one).name for one in restored.walk(0)} == {"1.2.3.dcm", f"1.2.3.{stored.digest[:8]}.dcm"}


class SyncsFailOnce(FileLayer):
    """As Linux: what the failed sync could not write counts as written."""

    failures = 1

    def sync_all(self, directory: Path) -> None:
        if self.failures:
            self.failures -= 1
            for path in directory.rglob("*.dcm"):
                path.write_bytes(b"")  # as the disk has it, while nobody reads it from there
            raise OSError(errno.EIO, "broken")


def test_what_a_failing_disk_did_not_take_is_written_again(tmp_path: Path) -> None:
    store = FileObjectStore(tmp_path, 0, SyncsFailOnce())
    stored = store.put("1.2", "1.2.3", HEADER, [b"data"])
    with pytest.raises(Transient):
        store.close()
    store.close()
    assert Path(stored.path).read_bytes() == HEADER + b"data"


def test_what_was_deleted_is_not_restored(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    store = FileObjectStore(root, 0)
    store.delete(store.put("1.2", "1.2.3", HEADER, [b"data"]).path)
    assert files(crashed(root)) == []
    FileObjectStore(tmp_path / "crashed", 0)
    assert files(tmp_path / "crashed") == []


def test_an_object_that_was_refused_is_not_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "objects"
    store = FileObjectStore(root, 0)
    store.put("1.2", "1.2.1", HEADER, [b"data"])

    def failing(self: FileLayer, descriptor: int, piece: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(FileLayer, "write", failing)
        with pytest.raises(StorageFull):
            store.put("1.2", "1.2.2", HEADER, [b"data"])
    store.put("1.2", "1.2.3", HEADER, [b"data"])
    FileObjectStore(crashed(root), 0)
    assert [Path(name).name for name in files(tmp_path / "crashed")] == ["1.2.1.dcm", "1.2.3.dcm"]


def appended(journal: Journal, name: str, content: bytes) -> Record:
    """Durable in the journal."""
    entry = Entry(name, b"", len(content), value_of(Check(content)))
    record = journal.append(entry, [content])
    journal.sync(record)
    return record


def test_a_settled_journal_is_begun_anew(tmp_path: Path, synced: list[str]) -> None:
    root = tmp_path / "objects"
    mine = Journal(root, "mine", FileLayer(), lambda *_: None)
    root.mkdir()
    for number in range(20):  # more than a segment
        mine.done(appended(mine, f"00/1.2/{number}.dcm", bytes(600_000)))
    segments = sorted((root / "journal" / "mine").iterdir())
    assert len([segment for segment in segments if list(records(segment.read_bytes()))]) > 1
    mine.settle()
    assert [list(records(segment.read_bytes())) for segment in segments] == [[]] * len(segments)
    mine.done(appended(mine, "00/1.2/new.dcm", b"new"))
    assert [record for segment in segments for record in records(segment.read_bytes())] == [("00/1.2/new.dcm", b"new")]
    mine.close()
    assert list((root / "journal").iterdir()) == []


def test_many_who_wait_at_the_same_time_share_a_sync(tmp_path: Path) -> None:
    class Slow(FileLayer):
        syncs = 0
        first = threading.Event()
        go_on = threading.Event()

        def sync_file(self, descriptor: int) -> None:
            self.syncs += 1
            self.first.set()
            self.go_on.wait(10)

    layer = Slow()
    layer.go_on.set()
    mine = Journal(tmp_path, "mine", layer, lambda *_: None)
    mine.done(appended(mine, "a", b"a"))
    layer.syncs = 0
    layer.go_on.clear()
    layer.first.clear()
    threads = [threading.Thread(target=lambda n=n: mine.done(appended(mine, str(n), b"x"))) for n in range(8)]
    threads[0].start()
    layer.first.wait(10)
    for thread in threads[1:]:
        thread.start()
    layer.go_on.set()
    for thread in threads:
        thread.join()
    mine.close()
    assert layer.syncs < 8


@given(st.binary(max_size=9000), st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=6000)), max_size=3))
def test_no_bytes_of_a_segment_raise(noise: bytes, whole: list[tuple[str, bytes]]) -> None:
    assert list(records(noise)) == [] or noise[:4] == b"TGJ4"


