"""Objects that are written one after another and made durable by one sync: in the journal as all others."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.files import journal
from adapters.files.durable import FileLayer
from adapters.files.journal_segments import SEGMENT
from adapters.files.store import FileObjectStore
from adapters.files.together import Together
from gateway.errors import StorageFull, Transient
from gateway.ports import Kept, Outcome
from tests.journaled import HEADER, SLICE, answered, crashed, names


@pytest.fixture(autouse=True)
def no_segments_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made while a test looks."""
    monkeypatch.setattr(journal, "AHEAD", 0)


class Counting(FileLayer):
    """Fails to sync files so often, from now on."""

    syncs = failures = 0

    def sync_file(self, descriptor: int) -> None:
        self.syncs += 1
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "broken")
        super().sync_file(descriptor)


@pytest.fixture
def files() -> Counting:
    return Counting()


@pytest.fixture
def store(tmp_path: Path, files: Counting) -> Iterator[FileObjectStore]:
    made = FileObjectStore(tmp_path / "objects", 0, files)
    answered(made, "1.2.999", b"first")[0].abort()  # there is a segment, and nobody in it
    yield made
    made.close()


def taken(together: Together, number: int, content: bytes) -> Kept:
    kept = together.take(HEADER, [content], "1.2", f"1.2.{number}")
    assert kept is not None
    return kept


def restored(tmp_path: Path) -> dict[str, bytes]:
    FileObjectStore(crashed(tmp_path), 0)
    return {path.stem: path.read_bytes() for path in (tmp_path / "crashed").rglob("*.dcm")}


def filed(kept: Kept) -> tuple[bytes, Outcome]:
    stored = kept.file(kept.stored)
    return Path(stored.path).read_bytes(), stored.outcome


def test_one_sync_makes_them_durable(store: FileObjectStore, files: Counting, tmp_path: Path) -> None:
    together, contents = store.together(), [os.urandom(20_000) for _ in range(5)]
    kept = [taken(together, number, content) for number, content in enumerate(contents)]
    before = files.syncs
    together.sync()
    assert files.syncs == before + 1
    assert restored(tmp_path) | {"1.2.999": b""} == {
        f"1.2.{number}": HEADER + content for number, content in enumerate(contents)} | {"1.2.999": b""}
    together.end()
    assert [one.read() for one in kept] == [(HEADER, content) for content in contents]
    assert [filed(one) for one in kept] == [(HEADER + content, Outcome.STORED) for content in contents]


def test_others_go_on_where_it_stopped(store: FileObjectStore, tmp_path: Path) -> None:
    together = store.together()
    first = taken(together, 1, b"one")
    together.sync()
    between = answered(store, "1.2.2", b"two")  # in another segment meanwhile
    together.end()
    after = answered(store, "1.2.3", b"three")
    again = taken(together, 4, b"four")
    together.sync()
    together.end()
    assert {name: content for name, content in restored(tmp_path).items() if name != "1.2.999"} == {
        "1.2.1": HEADER + b"one", "1.2.2": HEADER + b"two", "1.2.3": HEADER + b"three", "1.2.4": HEADER + b"four"}
    for one in (first, again):
        filed(one)
    for incoming, stored in (between, after):
        incoming.file(stored)
    store.journal.settle()
    assert names(tmp_path / "objects") == ["1.2.1.dcm", "1.2.2.dcm", "1.2.3.dcm", "1.2.4.dcm"]


def test_more_than_a_segment_holds(store: FileObjectStore, tmp_path: Path) -> None:
    store.prepare(4 * SEGMENT // 1024 // 1024)
    for _ in range(200):
        if len(store.journal._pool.free) >= 4:
            break
        store.journal._wanted.wait(0.05)
    together, number = store.together(), SEGMENT // SLICE + 3
    contents = [os.urandom(SLICE) for _ in range(number)]
    kept = [taken(together, n, content) for n, content in enumerate(contents)]
    together.sync()
    together.end()
    found = restored(tmp_path)
    assert [found[f"1.2.{n}"] for n in range(number)] == [HEADER + content for content in contents]
    assert [filed(one)[0] for one in kept] == [HEADER + content for content in contents]


def test_where_no_segment_is_ready_nothing_is_taken(tmp_path: Path) -> None:
    store = FileObjectStore(tmp_path / "objects", 0)
    together = store.together()
    assert together.take(HEADER, [b"one"], "1.2", "1.2.1") is None
    together.sync()
    together.end()
    store.close()


def test_a_failing_sync_is_raised_and_given_up_objects_are_not_restored(
        store: FileObjectStore, files: Counting, tmp_path: Path) -> None:
    together = store.together()
    durable = taken(together, 1, b"one")
    together.sync()
    lost = [taken(together, number, b"lost") for number in (2, 3)]
    files.failures = 1
    with pytest.raises(Transient):
        together.sync()
    for one in lost:
        one.abort()
    together.end()
    assert {name for name in restored(tmp_path) if name != "1.2.999"} == {"1.2.1"}
    assert filed(durable) == (HEADER + b"one", Outcome.STORED)
    incoming, stored = answered(store, "1.2.2", b"again")  # the way that takes longer
    assert incoming.file(stored).outcome is Outcome.STORED


@pytest.mark.parametrize("same", [True, False])
def test_a_name_that_waits_or_is_taken_is_for_the_long_way(store: FileObjectStore, same: bool) -> None:
    together = store.together()
    kept = taken(together, 1, b"one")
    content = b"one" if same else b"other"
    assert together.take(HEADER, [content], "1.2", "1.2.1") is None
    together.sync()
    together.end()
    filed(kept)
    assert together.take(HEADER, [content], "1.2", "1.2.1") is None


def test_what_has_its_file_already_can_be_read(store: FileObjectStore) -> None:
    together = store.together()
    kept = taken(together, 1, b"one")
    together.sync()
    together.end()
    answered(store, "1.2.1", b"one")[0].abort()  # whoever sends the same has it filed first
    assert kept.read() == (HEADER, b"one")
    assert filed(kept) == (HEADER + b"one", Outcome.STORED)


def test_nothing_is_open_after_the_end(store: FileObjectStore, tmp_path: Path) -> None:
    def opened() -> list[str]:
        paths = [Path(f"/proc/self/fd/{number.name}") for number in Path("/proc/self/fd").iterdir()]
        return [str(path.readlink()) for path in paths if path.exists() and str(path.readlink()).endswith(".seg")]

    together = store.together()
    kept = taken(together, 1, b"one")
    assert any(str(tmp_path) in path for path in opened())
    together.sync()
    together.end()
    assert not [path for path in opened() if str(tmp_path) in path]
    filed(kept)


def test_a_full_disk_takes_nothing(store: FileObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    together = store.together()
    monkeypatch.setattr(store, "_roomy_until", 0.0)
    monkeypatch.setattr(store, "_floor", 1 << 62)
    with pytest.raises(StorageFull):
        together.take(HEADER, [b"one"], "1.2", "1.2.1")


def test_what_was_answered_gets_its_file_though_syncs_fail_before_and_after(
        store: FileObjectStore, files: Counting, tmp_path: Path) -> None:
    together, good = store.together(), []
    for number in range(1, 9):
        kept = taken(together, number, b"%d" % number)
        files.failures = number % 2
        if number % 2:
            with pytest.raises(Transient):
                together.sync()
            kept.abort()
        else:
            together.sync()
            good.append(kept)
        together.end()
        store.prepare(8)
        for _ in range(200):
            if store.journal._pool.free:
                break
            threading.Event().wait(0.02)
    assert sorted(name for name in restored(tmp_path) if name != "1.2.999") == ["1.2.2", "1.2.4", "1.2.6", "1.2.8"]
    assert [filed(one)[0] for one in good] == [HEADER + b"%d" % number for number in (2, 4, 6, 8)]


def test_a_segment_that_cannot_be_opened_is_not_lost(
        store: FileObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: Path) -> int:
        raise OSError(errno.EMFILE, "too many")

    together, journal_ = store.together(), store.journal
    before = answered(store, "1.2.1", b"waits for its file")
    with monkeypatch.context() as patch:
        patch.setattr(store._files, "open", refuse)
        for _ in range(3):
            assert together.take(HEADER, [b"one"], "1.2", "1.2.2") is None
    assert not journal_._pool.lent
    kept = taken(together, 2, b"one")
    together.sync()
    together.end()
    assert filed(kept)[0] == HEADER + b"one"
    assert before[0].file(before[1]).outcome is Outcome.STORED


def test_closing_keeps_what_waits_in_a_segment_that_is_lent(tmp_path: Path, files: Counting) -> None:
    store = FileObjectStore(tmp_path / "objects", 0, files)
    answered(store, "1.2.1", b"waits for its file")
    together = store.together()
    lost = taken(together, 2, b"lost")
    files.failures = 1
    with pytest.raises(Transient):
        together.sync()
    lost.abort()
    store.close()
    assert restored(tmp_path) == {"1.2.1": HEADER + b"waits for its file"}


def test_a_sync_of_somebody_else_that_failed_is_told(store: FileObjectStore, files: Counting) -> None:
    together = store.together()
    first = taken(together, 1, b"one")
    files.failures = 1
    with pytest.raises(Transient):
        answered(store, "1.2.1", b"one")  # the same at the same time: it makes the first durable before it relies on it
    assert together.take(HEADER, [b"two"], "1.2", "1.2.2") is None  # the segment has lost something
    with pytest.raises(Transient):
        together.sync()
    first.abort()
    together.end()


def test_rooms_in_between_use_up_no_segments(store: FileObjectStore) -> None:
    store.prepare(16)
    for _ in range(200):
        if len(store.journal._pool.free) >= 2:
            break
        threading.Event().wait(0.02)
    together, found = store.together(), []
    for number in range(12):
        room = store.reserve()
        assert room is not None
        found.append(taken(together, number, b"small"))
        together.sync()
        together.end()
        store.journal.leave(room)
    assert len(store.journal._pool.sealed) <= 1  # the rooms alone are more than a segment
    assert len(store.journal._pool.begun) <= 2
    for one in found:
        assert filed(one)[0] == HEADER + b"small"
    store.journal.settle()
    assert not store.journal._pool.begun
