"""A disk that is full, fails or may not be written, and a database that is gone and comes back: senders are told or go
on, nothing acknowledged is lost, and the receiver goes on by itself."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from adapters.files.durable import FileLayer
from tests.peers import postgres
from tests.peers.file_layers import Broken, broken
from tests.peers.gateway_process import await_that
from tests.peers.receiving import (
    Receiver,
    Sender,
    acknowledged,
    await_progress,
    nothing_half_written,
    nothing_is_lost,
    receiver,
    scratch_files,
    senders,
)

pytestmark = [pytest.mark.peer, pytest.mark.slow]
REFUSED = {0xA700, 0x0110}


def await_refusals(working: list[Sender]) -> None:
    """Each sender is told that its object could not be stored, in words of the standard."""
    for sender in working:
        sender.refused.clear()
    for sender in working:
        await_that(lambda sender=sender: sender.refused, 30, "a refusal")
        assert set(sender.refused) <= REFUSED, sender.refused


def all_is_well(running: Receiver, working: list[Sender]) -> None:
    """Senders are served again; everything that was ever acknowledged is there, and gets into the index."""
    await_progress(working)
    kept = acknowledged(working)
    await_that(lambda: kept.keys() <= running.rows().keys(), 60, "the index catches up")
    nothing_is_lost(running, kept, set())
    nothing_half_written(running, working, set(), set())


def nothing_is_left_over(running: Receiver) -> None:
    """Once no object is on its way: senders that are refused pause."""
    await_that(lambda: not scratch_files(running), 10, "no scratch file is left",
               lambda: f"{[(path.name, path.stat().st_size) for path in scratch_files(running)]}\n{running.tail()}")


def failing_layer(order: Path) -> FileLayer:
    return Broken(FileLayer(), order)


@pytest.mark.timeout(240)
def test_a_disk_that_fails_in_any_call_is_told_and_forgiven(tmp_path: Path) -> None:
    order = tmp_path / "order"
    cases = [(number, (call,)) for call in ("create", "write", "sync_file", "link", "sync_directory")
             for number in (errno.EIO, errno.ENOSPC)]
    cases += [(errno.EROFS, ("create", "mkdir", "link")), (errno.EACCES, ("create", "mkdir", "link")),
              (errno.EDQUOT, ("write", "mkdir"))]
    with receiver(tmp_path / "data", partial(failing_layer, order)) as running:
        with senders(running.port, 1) as working:
            for number, calls in cases:
                with broken(order, number, *calls):
                    await_refusals(working)
                await_progress(working)
            assert running.alive()
            all_is_well(running, working)
        nothing_is_left_over(running)


# ---------------------------------------------------------------- a small file system


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """To the last page."""
    with path.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.mark.parametrize("what", ["instances", ""], ids=["objects", "objects and database"])
def test_a_full_disk_is_told_and_forgiven(tmp_path: Path, what: str) -> None:
    # So large that the senders do not fill it themselves while it is looked at.
    with small_disk(tmp_path / "data" / what, "512m"), receiver(tmp_path / "data") as running:
        filler = tmp_path / "data" / what / "filler"
        with senders(running.port, 1) as working:
            for _ in range(2):
                await_progress(working)
                fill(filler)
                await_refusals(working)
                nothing_is_left_over(running)
                filler.unlink()
            all_is_well(running, working)
        nothing_is_left_over(running)


def test_a_disk_that_may_only_be_read_is_told_and_forgiven(tmp_path: Path) -> None:
    disk = tmp_path / "data" / "instances"

    def remounted(how: str) -> bool:
        return subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=False).returncode == 0

    with small_disk(disk, "64m"), receiver(tmp_path / "data") as running:
        with senders(running.port, 1) as working:
            await_progress(working)
            await_that(lambda: remounted("ro"), 30, "a moment at which no file is open for writing")
            await_refusals(working)
            assert remounted("rw")
            all_is_well(running, working)
        nothing_is_left_over(running)


# ---------------------------------------------------------------- the database


def test_a_database_that_is_gone_and_back_holds_up_no_sender(tmp_path: Path) -> None:
    with postgres.running() as server, receiver(
            tmp_path / "data", url=postgres.new_database(server.port, "gone")) as running, senders(
            running.port, 1) as working:
        await_progress(working)
        for _ in range(2):
            server.stop()
            for _ in range(5):
                await_progress(working)  # what is acknowledged now is on disk only
            server.start()
            all_is_well(running, working)
        assert not any(sender.refused for sender in working)


def test_objects_of_a_receiver_killed_while_its_database_was_gone_are_found_again(tmp_path: Path) -> None:
    with postgres.running() as server, receiver(
            tmp_path / "data", url=postgres.new_database(server.port, "gone")) as running, senders(
            running.port, 1) as working:
        await_progress(working)
        server.stop()
        for _ in range(5):
            await_progress(working)
        running.kill()
        kept = acknowledged(working)
        server.start()
        running.start()
        nothing_is_lost(running, kept, set())


def test_a_locked_database_holds_up_no_sender(tmp_path: Path) -> None:
    with receiver(tmp_path / "data") as running, senders(running.port, 1) as working:
        await_progress(working)
        with closing(sqlite3.connect(tmp_path / "data" / "gateway.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(5):
                await_progress(working)
            other.execute("ROLLBACK")
        all_is_well(running, working)
        assert not any(sender.refused for sender in working)
