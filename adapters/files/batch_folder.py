"""A batch on disk: what was uploaded until it has been read, and one line for each record that was."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from adapters.files.durable import storage_errors
from gateway.batch import RecordResult, RecordState
from gateway.errors import NotFound

_STATE, _RESULTS, _UPLOAD, _LIST, _SAMPLE = "state.json", "results.jsonl", "upload.zip", "list.csv", "sample.csv"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchState:
    """`state`: waiting | running | done | failed. `total`: records, 0 until they are counted."""

    batch_id: str
    created_at: datetime
    state: str = "waiting"
    total: int = 0
    done: int = 0
    refused: int = 0
    failed: int = 0
    error: str = ""
    ended_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.state in {"done", "failed"}


class Batch:
    """One folder. Written by the worker alone, but for its beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._gone = False
        self._state = _read_state(folder)

    @property
    def state(self) -> BatchState:
        return self._state

    @property
    def upload(self) -> Path | None:
        return self._there(_UPLOAD)

    def list(self) -> bytes | None:
        """The table of paths, None where there is none."""
        path = self._there(_LIST)
        return path.read_bytes() if path else None

    def sample(self) -> bytes | None:
        path = self._there(_SAMPLE)
        return path.read_bytes() if path else None

    def change(self, **changes: Any) -> None:
        with self._lock:
            self._require_there()
            self._state = replace(self._state, **changes)
            _write_state(self._folder, self._state)

    def add(self, result: RecordResult) -> None:
        form = {one.name: getattr(result, one.name) for one in fields(RecordResult) if one.init}
        with self._lock, storage_errors():
            self._require_there()
            with (self._folder / _RESULTS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(form, ensure_ascii=False) + "\n")
            counted: dict[str, Any] = {str(result.state): getattr(self._state, result.state) + 1}
            self._state = replace(self._state, **counted)

    def results(self, start: int = 0) -> Iterator[RecordResult]:
        """Those from that place on, as far as they are written."""
        path = self._folder / _RESULTS
        if not path.is_file():
            return
        with path.open(encoding="utf-8") as file:
            for place, line in enumerate(file):
                if place >= start and line.endswith("\n"):
                    yield _result(json.loads(line))

    def drop_upload(self) -> None:
        for name in (_UPLOAD, _LIST):
            (self._folder / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Whoever reads it finds out at its next record."""
        with self._lock:
            self._gone = True
            shutil.rmtree(self._folder, ignore_errors=True)

    def _require_there(self) -> None:
        if self._gone:
            raise NotFound("The batch was deleted.")

    def _there(self, name: str) -> Path | None:
        path = self._folder / name
        return path if path.is_file() else None


class BatchFolder:
    """All batches of this gateway."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._batches: dict[str, Batch] = {}
        for folder in sorted(root.glob("*")) if root.is_dir() else ():
            if (folder / _STATE).is_file():
                self._batches[folder.name] = Batch(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, batch_id: str, now: datetime, upload: IO[bytes] | None, paths: bytes | None,
            sample: bytes | None) -> Batch:
        """Durable when it returns; on failure nothing stays. Raises StorageFull, Transient."""
        folder = self._root / batch_id
        try:
            with storage_errors():
                folder.mkdir(parents=True)
                for name, content in ((_LIST, paths), (_SAMPLE, sample)):
                    if content is not None:
                        (folder / name).write_bytes(content)
                if upload is not None:
                    with (folder / _UPLOAD).open("wb") as file:
                        shutil.copyfileobj(upload, file, _CHUNK)
                        os.fsync(file.fileno())
                _write_state(folder, BatchState(batch_id, now))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._batches[batch_id] = Batch(folder)
        return self._batches[batch_id]

    def get(self, batch_id: str) -> Batch | None:
        return self._batches.get(batch_id)

    def all(self) -> list[Batch]:
        """The newest first."""
        return sorted(self._batches.values(), key=lambda b: (b.state.created_at, b.state.batch_id), reverse=True)

    def remove(self, batch_id: str) -> None:
        batch = self._batches.pop(batch_id, None)
        if batch is not None:
            batch.remove()


def _read_state(folder: Path) -> BatchState:
    """With the counts of the results that are there: a process that died wrote no state after them."""
    form = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    for name in ("created_at", "ended_at"):
        form[name] = datetime.fromisoformat(form[name]) if form[name] else None
    state = BatchState(**form)
    if not state.over:
        counts = _whole_lines(folder / _RESULTS)
        told: dict[str, Any] = {str(name): counts.get(name, 0) for name in RecordState}
        state = replace(state, **told)
    return state


def _whole_lines(path: Path) -> dict[RecordState, int]:
    """Results by state; half a line at the end, left by a crash, is cut off."""
    counts: dict[RecordState, int] = {}
    if path.is_file():
        content = path.read_bytes()
        whole = content[:content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            path.write_bytes(whole)
        for line in whole.splitlines():
            state = RecordState(json.loads(line)["state"])
            counts[state] = counts.get(state, 0) + 1
    return counts


def _write_state(folder: Path, state: BatchState) -> None:
    form = {name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(state).items()}
    scratch = folder / f".{_STATE}"
    with storage_errors():
        scratch.write_text(json.dumps(form), encoding="utf-8")
        scratch.replace(folder / _STATE)


def _result(form: Mapping[str, Any]) -> RecordResult:
    told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in form.items()}
    told["state"] = RecordState(form["state"])
    return RecordResult(**told)
