"""Whether the files of answered objects may wait until there is time for them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from adapters.dicom.content import part10
from adapters.files.durable import FileLayer
from adapters.files.store import FileObjectStore
from gateway.errors import Transient

HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "CT"))


def test_files_may_be_put_off_where_there_is_room_for_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = FileObjectStore(tmp_path / "probe", 0).free_bytes()
    monkeypatch.setattr("adapters.files.store._AMPLE", free // 2)
    assert FileObjectStore(tmp_path / "roomy", 0).may_put_off()
    assert not FileObjectStore(tmp_path / "floor", free - free // 4).may_put_off()
    monkeypatch.setattr(os, "statvfs", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "gone")))
    assert not FileObjectStore(tmp_path / "gone", 0).may_put_off()


class Unwritable(FileLayer):
    """No file of an object's own can be made; journals can."""

    def create(self, path: Path | str) -> int:
        if str(path).endswith(".dcm"):
            raise OSError(errno.EIO, "not now")
        return super().create(path)


def test_files_may_not_be_put_off_where_they_could_not_be_written(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.files.store._AMPLE", 0)
    store = FileObjectStore(tmp_path / "objects", 0, Unwritable())
    assert store.may_put_off()
    waiting = store.take(HEADER, [b"data"], "1.2", "1.2.3")
    stored = waiting.finish("1.2", "1.2.3")
    with pytest.raises(Transient):
        waiting.file(stored)
    assert not store.may_put_off()
