"""Received objects as Part 10 files: `<root>/<2 hex>/<study>/<instance>.dcm`, durable before anybody is answered."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from adapters.files import durable
from adapters.files.durable import FileLayer
from adapters.files.filing import LONGEST_JOURNALED, Filings
from adapters.files.incoming import IncomingFile
from adapters.files.journal_records import Entry, check_of
from adapters.files.journal_segments import SEGMENT
from adapters.files.name_locks import NameLocks
from adapters.files.object_files import candidates, file_name, holds, study_folder
from adapters.files.together import Together
from adapters.files.waiting import Waiting
from gateway.errors import Permanent, StorageFull, Transient
from gateway.ports import Outcome, Piece, Stored

_SCRATCH = ".incoming"
_LOCKS = "names"
_STAT_SECONDS = 1.0
_AMPLE = 4 * 1024**3
"""Bytes free above the floor: many times what all that waits for its file can take."""
_LOOK_SECONDS = 0.05
"""Between looks whether processes that are ending have ended: a lock of theirs tells, and no event does."""
_MOST_REMEMBERED = 10_000


class FileObjectStore:
    """`gateway.ports.ObjectStore` on one file system that has hard links. Safe for threads and for processes.

    An object is written to a scratch file, synced, linked to its name (which fails where the name is taken, so nothing
    is ever overwritten) and its directory synced. A scratch file left by a process that died goes at the next start.
    An object that memory can hold goes to the journal, which is synced, and then to its name.
    """

    def __init__(self, root: Path, free_floor_bytes: int, files: FileLayer | None = None) -> None:
        """`root` is made if missing. `free_floor_bytes`: below it `put` raises StorageFull. Raises Transient."""
        self._files = files or FileLayer()
        self._root = root.resolve()
        self._floor = free_floor_bytes
        self._scratch = self._root / _SCRATCH
        self._numbers = itertools.count()
        self._durable: set[Path] = set()
        self._space: tuple[float, os.statvfs_result] | None = None
        self._roomy_until = 0.0
        """Until when it is not looked again whether there is room."""
        with durable.storage_errors():
            durable.make_directories(self._scratch, self._files)
            self._names = NameLocks(self._scratch / _LOCKS)
            self._filings = Filings(self._root, self._files, self._names, self.scratch_path)
            self.journal, self.reserve = self._filings.journal, self._filings.reserve
            self.stage, self.place_small = self._filings.stage, self._filings.place_small
            self._clean()
            self._filings.recover()

    def begin(self, header: bytes) -> IncomingFile:
        """See `gateway.ports.ObjectStore.begin`. Raises StorageFull below the floor."""
        self._require_room()
        return IncomingFile(self._files, self, header, LONGEST_JOURNALED)

    def take(self, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> IncomingFile | Waiting:
        """See `gateway.ports.ObjectStore.take`. Raises StorageFull below the floor."""
        self._require_room()
        uids, size = (study_instance_uid, sop_instance_uid), 0
        for piece in dataset:
            size += len(piece)
        if len(header) + size <= LONGEST_JOURNALED:
            try:
                waiting = self.stage(uids, Entry("", header, size, check_of(dataset)), [header, *dataset])
            except OSError as error:
                raise durable.as_gateway_error(error) from error
            if waiting is not None:
                return waiting
        incoming = self.begin(header)
        try:
            for piece in dataset:
                incoming.write(piece)
            incoming.stage(*uids)
        except BaseException:
            incoming.abort()
            raise
        return incoming

    def together(self) -> Together:
        """See `gateway.ports.ObjectStore.together`."""
        return Together(self._filings, self._require_room)

    def _require_room(self) -> None:
        now = time.monotonic()
        if now < self._roomy_until:
            return
        if self.free_bytes() < self._floor:
            raise StorageFull("The free-space floor is reached.")
        self._roomy_until = (self._space[0] if self._space else now) + _STAT_SECONDS

    def put(self, study_instance_uid: str, sop_instance_uid: str, header: bytes, dataset: Iterable[bytes]) -> Stored:
        """Store one object; see `gateway.ports.ObjectStore.put`. The digest is the data set's SHA-256 (hex)."""
        with contextlib.closing(self.begin(header)) as incoming, durable.storage_errors():
            for piece in dataset:
                incoming.write(piece)
            return incoming.finish(study_instance_uid, sop_instance_uid)

    def walk(self, since: float) -> Iterator[str]:
        """Paths of object files in study folders whose listing changed at or after `since` (POSIX seconds)."""
        for directory in sorted(self._root.glob("[0-9a-f][0-9a-f]/*")):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if directory.stat().st_mtime >= since:
                    yield from sorted(str(path) for path in directory.glob("*.dcm"))

    def delete(self, path: str) -> None:
        """Remove one object file, and its study folder once that is empty; gone already is fine.

        Raises Permanent for a path outside the store, Transient where the file system fails.
        """
        file = Path(path).resolve()
        directory = file.parent
        if directory.parent.parent != self._root or file.suffix != ".dcm":
            raise Permanent("This is no object of the store.")
        with durable.storage_errors():
            if not file.exists():
                return
            self._filings.delete(file)
            try:
                self._files.rmdir(directory)
            except OSError:  # not empty
                self._files.sync_directory(directory)
            else:
                self._durable.discard(directory)
                self._files.sync_directory(directory.parent)

    def restore(self, path: str, copy: str) -> None:
        """See `gateway.ports.ObjectStore.restore`."""
        with durable.storage_errors():
            self._filings.restore(Path(path), Path(copy))

    def close(self) -> None:
        """Nothing is stored any more. Raises Transient where the file system fails; nothing is lost then."""
        with durable.storage_errors():
            self._filings.close()

    def prepare(self, megabytes: int) -> None:
        """Make ready what takes long to be made, for so much that comes at once."""
        self._filings.prepare(megabytes * 1024 * 1024 // SEGMENT)

    def recover(self, patience: float = 0) -> None:
        """Other processes of this store have died: bring back what they had taken in. Raises Transient.

        `patience`: seconds that those have to end which are about to.
        """
        until = time.monotonic() + patience
        while time.monotonic() < until and not self._filings.is_alone():
            time.sleep(_LOOK_SECONDS)
        with durable.storage_errors():
            self._filings.recover()

    def free_bytes(self) -> int:
        """Bytes free to this process, at most a second old."""
        space = self._statvfs()
        return space.f_bavail * space.f_frsize

    def may_put_off(self) -> bool:
        """See `gateway.ports.ObjectStore.may_put_off`."""
        try:
            return not self._filings.is_behind() and self.free_bytes() - self._floor >= _AMPLE
        except Transient:
            return False

    def used_share(self) -> float:
        space = self._statvfs()
        used = space.f_blocks - space.f_bfree
        return used / max(1, used + space.f_bavail)

    def _statvfs(self) -> os.statvfs_result:
        now = time.monotonic()
        if self._space is None or now - self._space[0] > _STAT_SECONDS:
            with durable.storage_errors():
                self._space = (now, os.statvfs(self._root))
        return self._space[1]

    def _directory(self, study_instance_uid: str) -> Path:
        return study_folder(self._root, study_instance_uid)

    def scratch_path(self) -> Path:
        """See `Places`."""
        return self._scratch / f"{os.getpid()}-{id(self):x}-{next(self._numbers)}.part"

    def place(self, scratch: Path, descriptor: int, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        """See `Places`: the first free name, unless the same data set stands there already."""
        directory = self._directory(uids[0])
        with self._names.held(file_name(uids[1])):
            self._ensure(directory)
            for path, outcome in candidates(directory, file_name(uids[1]), digest):
                if not path.exists() and self._link(scratch, descriptor, path):
                    return path, outcome
                if holds(path, digest):
                    self._files.sync_directory(directory)  # whoever wrote it may not have come so far
                    return path, Outcome.DUPLICATE
        raise Permanent("Every name for this object is taken.")

    def _link(self, scratch: Path, descriptor: int, path: Path) -> bool:
        """False where another process took the name first."""
        self._files.sync_file(descriptor)
        try:
            self._files.link(scratch, path)
        except FileExistsError:
            return False
        except FileNotFoundError:  # the study folder was empty and has just been removed
            self._durable.discard(path.parent)
            self._ensure(path.parent)
            self._files.link(scratch, path)
        try:
            self._files.sync_directory(path.parent)
        except OSError:
            self._files.unlink(path)
            raise
        return True

    def _ensure(self, directory: Path) -> None:
        """Make the study folder and its parent durable, once; also where another thread has only just made them."""
        if directory in self._durable:
            return
        for made in (directory.parent, directory):
            self._files.mkdir(made)
            self._files.sync_directory(made.parent)
        if len(self._durable) >= _MOST_REMEMBERED:
            self._durable.clear()
        self._durable.add(directory)

    def _clean(self) -> None:
        for path in self._scratch.glob("*.part"):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if durable.claim(file.fileno()):
                    self._files.unlink(path)
