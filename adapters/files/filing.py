"""Objects that go through the journal: durable there first, filed under their own names afterwards."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from adapters.dicom.content import part10
from adapters.files import durable
from adapters.files.durable import FileLayer
from adapters.files.journal import Journal
from adapters.files.journal_records import Entry, are_held, forget, recover
from adapters.files.journal_segments import Room
from adapters.files.lease import Lease
from adapters.files.name_locks import NameLocks
from adapters.files.object_files import candidates, file_name, holds, is_part, may_be_part, study_folder
from adapters.files.waiting import Filed, Waiting
from gateway.ports import Outcome, Piece

LONGEST_JOURNALED = 768 * 1024
"""Bytes of an object that goes through the journal: a CT slice of 512 × 512 pixels does. What is larger has a file of
its own at once, and gains little by it."""
_BEHIND_SECONDS = 1.0
LARGE, MUCH = 128 * 1024, 128 * 1024 * 1024
"""Bytes of an object, and of all that wait for their files, from which on its file is written past the system's memory:
they come faster than anybody reads them. At other times a study that is read at once is in memory."""


class Filings:
    """Implements the half of `adapters.files.incoming.Places` that is for objects in memory. Thread-safe."""

    def __init__(self, root: Path, files: FileLayer, names: NameLocks, scratch_path: Callable[[], Path]) -> None:
        self._root, self._files, self._names, self._scratch_path = root, files, names, scratch_path
        self.journal = Journal(root, f"{os.getpid()}-{id(self):x}", files, self._rewrite)
        self._waiting: dict[str, Waiting] = {}
        """By the path that they are to get: in the journal, and not in a file yet."""
        self._behind_until = 0.0
        """Until when senders are told at once, because files could not be written."""
        self._buffers: collections.deque[memoryview] = collections.deque()
        """For objects on their way from the journal to their files; their memory begins at a page."""
        self._root_text = str(root)
        self._root_length = len(self._root_text) + 1
        self.prepare, self.close = self.journal.prepare, self.journal.close

    def lease(self) -> Lease:
        return Lease(self.journal, self._files)

    def is_behind(self) -> bool:
        """Whether files could not be written just now."""
        return self._behind_until > time.monotonic()

    def reserve(self) -> Room | None:
        """See `Places.reserve`."""
        if self.is_behind():
            return None
        try:
            return self.journal.reserve(LONGEST_JOURNALED)
        except OSError:
            return None

    def stage(self, uids: tuple[str, str], entry: Entry, content: Sequence[Piece] | Room,
              lease: Lease | None = None) -> Waiting | None:
        """See `Places.stage`. Two processes may both take one name: the later to file it finds the other's file.

        `lease`: where it is appended, if not to the journal."""
        name = file_name(uids[1])
        folder = _folder_of(self._root_text, uids[0])
        path = f"{folder}/{name}.dcm"
        # Whether there is a folder the system mostly remembers; a name that was never there it has to look for.
        if path in self._waiting or (self._behind_until and self.is_behind()) or (
                os.access(folder, os.F_OK) and os.access(path, os.F_OK, follow_symlinks=False)):
            return None
        entry.name = path[self._root_length:]
        if isinstance(content, Room):
            record = self.journal.complete(content, entry)
        else:
            try:
                record = (lease or self.journal).append(entry, content)
            except OSError:
                return None
        waiting = self._waiting[path] = Waiting(self, record, path, name, entry)
        return waiting

    def place_small(self, uids: tuple[str, str], entry: Entry, content: bytearray,
                    digest: str) -> tuple[Path, Outcome] | None:
        """See `Places.place_small`: into the journal and its file at once."""
        directory, name = study_folder(self._root, uids[0]), file_name(uids[1])
        if (waiting := self._waiting.get(f"{directory}/{name}.dcm")) is not None:
            waiting.secure()  # so that the two can be compared, and whoever sends the same again may rely on it
        if may_be_part(directory / f"{name}.dcm", memoryview(content)):
            self.recover()  # of a process that has died its journal tells what it was writing
        with self._names.held(name):
            for path, outcome in candidates(directory, name, digest):
                if not path.exists():
                    entry.name = str(path)[self._root_length:]
                    return (path, outcome) if self._write_small(path, entry, content) else None
                if holds(path, digest):
                    self._files.sync_directory(directory)  # whoever wrote it may not have come so far
                    return path, Outcome.DUPLICATE
        return None

    def _write_small(self, path: Path, entry: Entry, content: bytearray) -> bool:
        """False where the journal takes nothing, or another process has just taken the name."""
        try:
            record = self.journal.append(entry, [content])
        except OSError:
            return False
        try:
            self.journal.sync(record)
            self._write_whole(str(path), content)
        except OSError as error:
            self.journal.void(record)
            if isinstance(error, FileExistsError):
                return False
            raise
        self.journal.done(record)
        return True

    # ------------------------------------------------------------ what waits

    def drop(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting.path, None)
        self.journal.void(waiting.record)

    def file(self, waiting: Waiting) -> Filed:
        """Raises OSError."""
        buffer = self._buffer()
        try:
            content = self.journal.read(waiting.record, buffer)
            digest = hashlib.sha256(content[waiting.header:]).hexdigest()
            with self._names.held(waiting.name):
                path, outcome = self._file(waiting, content, digest)
        except OSError:
            self._behind_until = time.monotonic() + _BEHIND_SECONDS
            raise
        finally:
            self._buffers.append(buffer)
        self._behind_until = 0.0
        self._waiting.pop(waiting.path, None)
        return path, outcome, digest

    def read(self, waiting: Waiting) -> bytes:
        """The object, which has no file yet. Raises OSError."""
        content = bytearray(waiting.record.length)
        return bytes(self.journal.read(waiting.record, memoryview(content)))

    def _buffer(self) -> memoryview:
        with contextlib.suppress(IndexError):
            return self._buffers.pop()
        return memoryview(mmap.mmap(-1, LONGEST_JOURNALED))

    def _file(self, waiting: Waiting, content: memoryview, digest: str) -> tuple[str, Outcome]:
        wanted, record = waiting.path, waiting.record
        if not os.path.lexists(wanted):
            self._write_whole(wanted, content)
            self.journal.done(record)
            return wanted, Outcome.STORED
        for path, outcome in candidates(Path(wanted).parent, waiting.name, digest):
            if not path.exists():
                self._replace(path, content, durably=True)
                self.journal.void(record)  # it names another file, which is never to be written over
                return str(path), outcome
            if holds(path, digest):
                self._files.sync_directory(path.parent)
                self.journal.done(record)
                return str(path), Outcome.DUPLICATE
        raise FileExistsError("every name is taken")

    # ------------------------------------------------------------ after a crash, and deletion

    def is_alone(self) -> bool:
        """Whether no other process has a journal here."""
        return not are_held(self._root, self.journal.folder)

    def recover(self) -> None:
        """Restore what processes that have died left in their journals. Raises OSError."""
        recover(self._root, self._files, self._restore)

    def delete(self, file: Path) -> None:
        """Remove a file for good: no journal, whosesoever, may bring it back. Raises OSError."""
        with self._names.held(_bare(file.stem)):
            forget(self._root, self._files, str(file.relative_to(self._root)))
            self._files.unlink(file)

    def restore(self, damaged: Path, copy: Path) -> None:
        """The copy takes the place of the file beside which it was kept. Raises OSError."""
        with self._names.held(_bare(damaged.stem)):
            descriptor = self._files.open(copy)
            try:
                self._files.sync_file(descriptor)
            finally:
                self._files.close(descriptor)
            self._files.rename(copy, damaged)
            self._files.sync_directory(damaged.parent)

    def _restore(self, name: str, content: bytes) -> None:
        """What a journal tells of a process that has died: the file may be missing, or hold only a part of it."""
        wanted, digest = self._root / name, hashlib.sha256(part10.split(content)[1]).hexdigest()
        bare = wanted.stem.removesuffix(f".{digest}").removesuffix(f".{digest[:8]}")
        with self._names.held(bare):
            for path, _ in candidates(wanted.parent, bare, digest):
                # What is there as it should be may be so in memory only: the disk may have failed to take it.
                if not path.exists() or is_part(path.read_bytes(), content):
                    self._replace(path, content)
                    return
                if holds(path, digest):
                    return

    def _rewrite(self, name: str, content: bytes) -> None:
        """A file that may be on no disk, unless it has been deleted since."""
        if (self._root / name).exists():
            self._replace(self._root / name, content)

    # ------------------------------------------------------------ writing

    def _write_whole(self, path: str, content: Piece) -> None:
        """A new file, not synced; its folders are made where they are missing."""
        try:
            descriptor = self._files.create(path)
        except FileNotFoundError:
            folder = Path(path).parent
            self._files.mkdir(folder.parent)
            self._files.mkdir(folder)
            descriptor = self._files.create(path)
        try:
            if isinstance(content, memoryview) and self._is_much(len(content)):
                self._files.write_past_cache(descriptor, content)
            else:
                self._files.write(descriptor, content)
        except OSError:
            self._files.unlink(path)
            raise
        finally:
            self._files.close(descriptor)

    def _is_much(self, size: int) -> bool:
        """Whether about so much waits, of objects like this one."""
        return size >= LARGE and size * len(self._waiting) >= MUCH

    def _replace(self, path: Path, content: Piece, *, durably: bool = False) -> None:
        for folder in (path.parent.parent, path.parent):
            self._files.mkdir(folder)
        scratch = self._scratch_path()
        descriptor = self._files.create(scratch)
        try:
            durable.claim(descriptor)
            self._files.write(descriptor, content)
            if durably:
                self._files.sync_file(descriptor)
            self._files.rename(scratch, path)
            if durably:
                self._files.sync_directory(path.parent)
        except OSError:
            self._files.unlink(scratch)
            raise
        finally:
            self._files.close(descriptor)


@lru_cache(maxsize=1024)
def _folder_of(root: str, study_instance_uid: str) -> str:
    return str(study_folder(Path(root), study_instance_uid))


def _bare(stem: str) -> str:
    """The name of all files of one SOP Instance UID, of which some have a part of a digest behind it."""
    before, _, last = stem.rpartition(".")
    return before if before and len(last) in (8, 64) and not last.isdigit() else stem
