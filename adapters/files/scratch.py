"""Files for a moment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.files.durable import storage_errors


class ScratchFolder:
    """Makes folders in `root` that are gone after their use; what a process that died left goes at the next start."""

    def __init__(self, root: Path) -> None:
        self._root = root
        shutil.rmtree(root, ignore_errors=True)

    @contextmanager
    def place(self) -> Iterator[Callable[[bytes, Sequence[bytes]], str]]:
        """Within: (header, data set) → path of a file that holds them. Raises StorageFull, Transient."""
        with storage_errors():
            self._root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._root))
        try:
            yield _Writer(folder).put
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def put(self, header: bytes, dataset: Sequence[bytes]) -> str:
        path = self._folder / f"{self._count:06d}.dcm"
        self._count += 1
        with storage_errors(), path.open("wb") as file:
            file.writelines([header, *dataset])
        return str(path)
