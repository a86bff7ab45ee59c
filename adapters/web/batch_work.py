"""Reads the records of batches, one after the other, in a thread of its own: nobody has to wait for it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import structlog

from adapters.files.batch_folder import Batch, BatchFolder
from adapters.web.archive import require_readable
from adapters.web.records import FolderRecords, Reading, Record, Source, ZipRecords
from adapters.web.uploads import Door
from gateway.batch import RecordResult, RecordState, read_table
from gateway.errors import GatewayError, NotFound, Rejected, StorageFull, Transient
from gateway.ports import Commands
from gateway.settings import BatchSettings

log = structlog.get_logger()
_TRIES = 5
_PAUSE_SECONDS = 2.0
_LOOK_ROUND_SECONDS = 600.0
_FINDING = ("label", "display", "probability", "threshold", "present")


@dataclass(frozen=True, slots=True)
class Order:
    """What is uploaded for a batch: a zip, a table of paths (or both), and perhaps a sample to be filled in."""

    upload: IO[bytes] | None
    paths: bytes | None
    sample: bytes | None


class BatchWork:
    """`settings.root`: folder of which a table alone may name files. Start it, and stop it at the end."""

    def __init__(self, folder: BatchFolder, settings: BatchSettings, door: Door, commands: Commands,
                 clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder, self._settings, self._door, self._commands = folder, settings, door, commands
        self._clock = clock
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="batch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is left of a batch goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    # ------------------------------------------------------------ what is asked for

    def order(self, wanted: Order) -> Batch:
        """Raises Unusable (a table that is none, no root for its paths), Unreadable (nothing in the zip could be read),
        Transient (too many wait), StorageFull."""
        self._door.intake.check()
        for table in (wanted.paths, wanted.sample):
            if table is not None:
                read_table(table)
        if wanted.upload is None and self._settings.root is None:
            raise Rejected("A table of paths needs the zip with its files beside it: paths of this machine are only "
                           "taken from within batch.root, which is not configured.", element="file")
        if wanted.upload is not None:
            require_readable(wanted.upload, self._door.limit, self._door.convert.kind)
        self.clean()
        if sum(not batch.state.over for batch in self._folder.all()) >= self._settings.waiting:
            raise Transient("Too many batches wait to be read; try again later.")
        batch = self._folder.add(secrets.token_hex(10), self._clock(), wanted.upload, wanted.paths, wanted.sample)
        self._wake.set()
        return batch

    def get(self, batch_id: str) -> Batch | None:
        return self._folder.get(batch_id)

    def all(self) -> list[Batch]:
        return self._folder.all()

    def remove(self, batch_id: str) -> None:
        """Also while it is being read: it stops after the record at hand."""
        self._folder.remove(batch_id)

    def clean(self) -> None:
        """Batches that ended long ago go."""
        before = self._clock() - timedelta(hours=self._settings.keep_hours)
        for batch in self._folder.all():
            if batch.state.over and (batch.state.ended_at or batch.state.created_at) < before:
                self._folder.remove(batch.state.batch_id)

    # ------------------------------------------------------------ reading

    def _work(self) -> None:
        while not self._stopping.is_set():
            batch = next((one for one in reversed(self._folder.all()) if not one.state.over), None)
            if batch is None:
                self._wake.wait(_LOOK_ROUND_SECONDS)
                self._wake.clear()
                self.clean()
                continue
            self._read(batch)

    def _read(self, batch: Batch) -> None:
        try:
            self._read_all(batch)
        except NotFound:
            log.info("batch_abandoned", batch=batch.state.batch_id)
        except Rejected as error:
            self._end(batch, "failed", error.reason)
        except (GatewayError, OSError) as error:
            # The disk or the database: what was read is kept, and the rest is tried again.
            log.warning("batch_postponed", batch=batch.state.batch_id, error=type(error).__name__)
            self._stopping.wait(_PAUSE_SECONDS)
        except Exception as error:
            # A batch that cannot be read must not keep the others waiting.
            log.exception("batch_crashed", batch=batch.state.batch_id, error=type(error).__name__)
            self._end(batch, "failed", f"The batch could not be read ({type(error).__name__}).")

    def _read_all(self, batch: Batch) -> None:
        wanted = batch.list()
        with self._source(batch) as source:
            records = source.plan(None if wanted is None else [name for name in read_table(wanted).records() if name])
            state = batch.state
            batch.change(state="running", total=len(records))
            for record in records[state.done + state.refused + state.failed:]:
                if self._stopping.is_set():
                    return
                batch.add(self._result(source, record))
        self._end(batch, "done", "")

    def _source(self, batch: Batch) -> Source:
        door = self._door
        if door.identity is None:
            raise Rejected("Batches are not set up.")
        reading = Reading(door.convert, door.limit, door.split, door.identity)
        if batch.upload is not None:
            return ZipRecords(batch.upload, reading)
        return FolderRecords(self._settings.root or Path("/nonexistent"), reading)

    def _end(self, batch: Batch, state: str, error: str) -> None:
        with suppress(StorageFull, Transient, NotFound):
            batch.change(state=state, error=error, ended_at=self._clock())
            batch.drop_upload()
        log.info("batch_ended", batch=batch.state.batch_id, state=state, done=batch.state.done,
                 refused=batch.state.refused, failed=batch.state.failed)

    def _result(self, source: Source, record: Record) -> RecordResult:
        if record.reason:
            return RecordResult(record.name, RecordState.REFUSED, record.reason)
        for _ in range(_TRIES):
            try:
                return self._predicted(source, record)
            except Rejected as error:
                return RecordResult(record.name, RecordState.REFUSED, error.reason)
            except Transient as error:
                told = str(error)
                if self._stopping.wait(_PAUSE_SECONDS):
                    break
            except GatewayError as error:
                return RecordResult(record.name, RecordState.FAILED, str(error))
            except Exception as error:
                log.exception("batch_record_crashed", error=type(error).__name__)
                return RecordResult(record.name, RecordState.FAILED, f"The reader stopped with {type(error).__name__}.")
        return RecordResult(record.name, RecordState.FAILED, told)

    def _predicted(self, source: Source, record: Record) -> RecordResult:
        form = self._commands.predict_study(self._door.pairs(source.objects(record), []))
        return result_of(record.name, form)


def result_of(record: str, form: Any) -> RecordResult:
    """What a batch keeps of the JSON form of a result."""
    return RecordResult(
        record, RecordState.DONE, pipeline=form["pipeline"], verdict=form["verdict"], risk=form["risk"],
        demonstration=form.get("demonstration"), summary=form.get("summary", ""),
        problems=tuple(form.get("problems", ())),
        findings=tuple({name: finding[name] for name in _FINDING} for finding in form["findings"]))
