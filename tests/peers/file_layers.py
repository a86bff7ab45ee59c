"""File layers that fail on purpose: one whose unsynced state can be taken away, as by a power cut, and others."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.files.durable import FileLayer

_BLOCK = 4096


class PowerCut(FileLayer):
    """Keeps, beside the disk, what a power cut would leave of it: contents as of the last `sync_file`, names as of the
    last `sync_directory`. Works across processes and survives kill -9; `restore` makes a folder of it."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._lock = threading.Lock()
        for folder in ("held", "synced", "directories"):
            (notes / folder).mkdir(parents=True, exist_ok=True)

    def create(self, path: Path | str) -> int:
        with self._alone():
            descriptor = super().create(path)
            # A name of our own: the inode's number stays its own, and its content here, when all others are gone.
            os.link(path, self._notes / "held" / str(os.fstat(descriptor).st_ino))
            return descriptor

    def sync_file(self, descriptor: int) -> None:
        self._keep(os.fstat(descriptor).st_ino)

    def sync_directory(self, directory: Path) -> None:
        with self._alone():
            self._note(directory)

    def sync_all(self, directory: Path) -> None:
        with self._alone():
            self._note(directory)
            for path in directory.rglob("*"):
                if path.is_dir():
                    self._note(path)
            for held in (self._notes / "held").iterdir():
                if not self._is_kept(int(held.name)):
                    self._keep(int(held.name))

    def _keep(self, number: int) -> None:
        """What the file holds now is durable."""
        scratch = self._notes / "synced" / f".{number}-{threading.get_ident()}"
        shutil.copy2(self._notes / "held" / str(number), scratch)
        scratch.rename(self._notes / "synced" / str(number))

    def _is_kept(self, number: int) -> bool:
        """Whether it has not been written to since it was kept; in doubt, since clocks are coarse, no."""
        held, synced = self._notes / "held" / str(number), self._notes / "synced" / str(number)
        if not synced.exists():
            return False
        was, now = synced.stat(), held.stat()
        return (was.st_mtime_ns, was.st_size) == (now.st_mtime_ns, now.st_size) and (
            was.st_ctime_ns - was.st_mtime_ns > 50_000_000)

    def adopt(self, directory: Path) -> None:
        """What is there now is durable: the power is back."""
        self._note(directory)
        for path in directory.iterdir():
            if path.is_dir():
                self.adopt(path)
            else:
                os.link(path, self._notes / "synced" / str(path.stat().st_ino))

    def _note(self, directory: Path) -> None:
        noted = self._noted(directory)
        scratch = noted.with_name(f".{noted.name}")
        scratch.write_text(json.dumps(_entries(directory)), encoding="utf-8")
        scratch.rename(noted)

    def _noted(self, directory: Path) -> Path:
        return self._notes / "directories" / hashlib.sha256(str(directory).encode()).hexdigest()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock, (self._notes / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def restore(self, root: Path, target: Path, chance: random.Random | None = None) -> None:
        """Write to `target` what is left of `root`. `chance`: some of what was not synced is there too, cut or zeroed,
        as a disk may have written it by itself."""
        target.mkdir(parents=True)
        noted = self._noted(root)
        entries: dict[str, int] = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
        if chance and root.is_dir():
            there = sorted(_entries(root).items())
            entries |= {name: number for name, number in there if name not in entries and chance.random() < 0.5}
        for name, number in entries.items():
            if number == -1:
                self.restore(root / name, target / name, chance)
            else:
                (target / name).write_bytes(self._content(number, chance))
        if root.is_dir():
            at = root.stat().st_mtime
            os.utime(target, (at, at))

    def _content(self, number: int, chance: random.Random | None) -> bytes:
        synced, held = self._notes / "synced" / str(number), self._notes / "held" / str(number)
        durable = synced.read_bytes() if synced.exists() else b""
        if not chance or not held.exists() or (synced.exists() and self._is_kept(number)):
            return durable
        whole = held.read_bytes()
        size = len(durable) if len(durable) > len(whole) else chance.randrange(len(durable), len(whole) + 1)
        blocks = [chance.choice((durable, whole))[at:at + _BLOCK].ljust(min(_BLOCK, size - at), b"\0")
                  for at in range(0, size, _BLOCK)]
        return b"".join(blocks)[:size]


def _entries(directory: Path) -> dict[str, int]:
    """Name → inode number, -1 for a directory."""
    return {entry.name: -1 if entry.is_dir(follow_symlinks=False) else entry.inode()
            for entry in os.scandir(directory)}


class ForgetsNames(PowerCut):
    """A store on it would believe that names are durable."""

    def sync_directory(self, directory: Path) -> None:
        pass

    def sync_all(self, directory: Path) -> None:
        pass


class ForgetsContents(PowerCut):
    """A store on it would believe that contents are durable."""

    def sync_file(self, descriptor: int) -> None:
        pass

    def sync_all(self, directory: Path) -> None:
        pass


METHODS = ("create", "open", "write", "write_at", "write_past_cache", "gather_at", "sync_file", "sync_directory",
           "sync_all", "link", "rename", "unlink", "mkdir", "rmdir", "close")


class _Watched(FileLayer):
    """Calls `before` and `after` around each call of the layer."""

    def __init__(self, inner: FileLayer) -> None:
        self._inner = inner

    def before(self, name: str) -> None:
        """May raise OSError instead of the call."""

    def after(self, name: str) -> None:
        """The call has been made."""

    def __getattribute__(self, name: str) -> Any:
        if name not in METHODS:
            return object.__getattribute__(self, name)
        inner = getattr(object.__getattribute__(self, "_inner"), name)

        def call(*arguments: Any) -> Any:
            self.before(name)
            result = inner(*arguments)
            self.after(name)
            return result

        return call


class KillsItself(_Watched):
    """kill -9 by its own hand just before or after a call: the moments that a killer from outside hardly hits."""

    def __init__(self, inner: FileLayer, seed: int, calls: int = 200) -> None:
        super().__init__(inner)
        chance = random.Random(seed)
        self._left = chance.randrange(20, calls)
        self._before = chance.random() < 0.5
        self._lock = threading.Lock()

    def before(self, name: str) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0 and self._before:
                self._die()

    def after(self, name: str) -> None:
        if self._left <= 0:
            self._die()

    @staticmethod
    def _die() -> None:
        os.killpg(os.getpgrp(), signal.SIGKILL)


class Broken(_Watched):
    """Raises OSError instead of what `order` names: a file with a line `NUMBER CALL CALL ...`, while it is there."""

    def __init__(self, inner: FileLayer, order: Path) -> None:
        super().__init__(inner)
        self._order = order

    def before(self, name: str) -> None:
        try:
            number, *calls = self._order.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return
        if name in calls:
            raise OSError(int(number), os.strerror(int(number)))


@contextmanager
def broken(order: Path, number: int, *calls: str) -> Iterator[None]:
    """Within, the layer that takes this order fails."""
    scratch = order.with_suffix(".new")
    scratch.write_text(f"{number} {' '.join(calls)}", encoding="ascii")
    scratch.rename(order)
    try:
        yield
    finally:
        order.unlink()
