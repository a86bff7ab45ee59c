"""The index of what is stored: written in batches, off the answer's path; rebuilt from the files after a crash."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import sqlalchemy as sa
import structlog

from adapters.database.cases import create_case, update_case
from adapters.database.conflicts import damaged, is_shared
from adapters.database.connection import upsert, writing
from adapters.database.orders import link_order
from adapters.database.patients import note_patient
from adapters.database.priors import comes_as_prior, promote
from adapters.database.studies import count_instances, storable, storable_tags, study_columns
from adapters.database.tables import cases, documents, facts, instances, senders, studies
from gateway.case import CaseState
from gateway.delivery import Kind
from gateway.errors import GatewayError, Transient
from gateway.intake import is_beside
from gateway.study import Instance

log = structlog.get_logger()
_BATCH = 500
_GATHER_SECONDS = 0.1
_MOST_REMEMBERED = 10_000
_OWN = [Kind.SR.value, Kind.SC.value, Kind.SEG.value]
_Entry = tuple[Instance, bool]


class Files(Protocol):
    """Of `gateway.ports.ObjectStore` what is done to files after the index was written."""

    def delete(self, path: str) -> None: ...

    def restore(self, path: str, copy: str) -> None: ...


class InstanceIndex:
    """Implements gateway.intake.Index. One writer thread; `changed` is called with study ids after each commit."""

    def __init__(self, engine: sa.Engine, facility: str, changed: Callable[[set[int]], None],
                 files: Files, host: str = "") -> None:
        """`host` names the object store of this process: each has been indexed up to a time of its own."""
        self._fact = f"indexed_until:{host}" if host else "indexed_until"
        self._engine, self._facility, self._changed, self._files = engine, facility, changed, files
        self._queue: queue.SimpleQueue[_Entry | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="index", daemon=True)
        self._waits_no_more = threading.Event()
        self._given_up = False
        self._counts: dict[int, tuple[int, int]] = {}
        """Study id → (its revision as last written here, instances then): counting anew takes long in a big study."""

    def start(self) -> None:
        self._thread.start()

    def wait_no_more(self) -> None:
        """The process is about to stop: where the database is away, the rest is left to `rebuild` at the next start."""
        self._waits_no_more.set()

    def stop(self) -> None:
        """Write what is queued, then end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._waits_no_more.set()

    def add(self, instance: Instance, *, conflict: bool) -> None:
        self._queue.put((instance, conflict))

    def flush(self, timeout: float = 30) -> bool:
        """Wait until everything added so far is in the database; False where that takes too long, or is given up."""
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout) and not self._given_up

    def rebuild(self, walk: Callable[[float], Iterable[str]], read: Callable[[str], Instance]) -> int:
        """Add files that the index misses; returns how many. Files that can't be read are reported and left.

        Raises Transient where the database cannot be asked.
        """
        added = 0
        since = self._indexed_until()
        for path in walk((since - timedelta(minutes=2)).timestamp() if since else 0.0):
            if self._knows(path):
                continue
            try:
                instance = read(path)
            except (GatewayError, OSError) as error:
                log.error("index_rebuild_unreadable", error=type(error).__name__)
                continue
            self.add(instance, conflict=is_beside(instance))
            added += 1
        self.flush()
        return added

    def _knows(self, path: str) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(instances.c.id).where(instances.c.path == path)).first() is not None

    def _indexed_until(self) -> datetime | None:
        with self._engine.connect() as connection:
            value = connection.execute(sa.select(facts.c.value).where(facts.c.name == self._fact)).scalar()
        return datetime.fromisoformat(value) if value else None

    # ------------------------------------------------------------ the writer

    def _work(self) -> None:
        last = False
        while not last:
            batch, waiting, last = self._collect()
            if batch:
                self._write_until_done(batch)
            for event in waiting:
                event.set()

    def _collect(self) -> tuple[list[_Entry], list[threading.Event], bool]:
        """What comes within a moment of the first: one transaction for each object would slow down its sender."""
        batch: list[_Entry] = []
        waiting: list[threading.Event] = []
        item = self._queue.get()
        until = time.monotonic() + _GATHER_SECONDS
        while True:
            if item is None:
                return batch, waiting, True
            if isinstance(item, threading.Event):
                waiting.append(item)
            else:
                batch.append(item)
            if len(batch) >= _BATCH:
                return batch, waiting, False
            try:
                item = self._queue.get(timeout=0 if waiting else max(0.0, until - time.monotonic()))
            except queue.Empty:
                return batch, waiting, False

    def _write_until_done(self, batch: Sequence[_Entry]) -> None:
        pause = 0.1
        while not self._given_up:
            try:
                touched, chores = self._write(batch)
            except Transient as error:
                # The files are safe; the index waits for the database, and tells why.
                log.warning("index_waits_for_database", error=str(error), objects=len(batch))
                if self._waits_no_more.is_set():
                    # Nothing is written after it either: the fact how far the index has come would skip these.
                    self._given_up = True
                    log.warning("index_left_to_next_start", objects=len(batch))
                    return
                self._waits_no_more.wait(pause)
                pause = min(pause * 2, 5.0)
                continue
            except Exception as error:
                # One object that the database cannot take must not keep every other out of the index.
                log.exception("index_fault", error=type(error).__name__, objects=len(batch))
                for entry in batch if len(batch) > 1 else ():
                    self._write_until_done([entry])
                return
            self._tidy(chores)
            if touched:
                self._changed(touched)
            return

    def _tidy(self, chores: Sequence[Callable[[], None]]) -> None:
        for chore in chores:
            try:
                chore()
            except (GatewayError, OSError) as error:
                log.warning("object_files_not_tidied", error=type(error).__name__)

    def _write(self, batch: Sequence[_Entry]) -> tuple[set[int], list[Callable[[], None]]]:
        """Studies that have changed, and what is to be done to files then."""
        started, chores = datetime.now(UTC), list[Callable[[], None]]()
        with writing(self._engine) as connection:
            own = self._own_outputs(connection, batch)
            touched: set[int] = set()
            by_study: dict[str, list[_Entry]] = {}
            for entry in batch:
                if entry[0].sop_instance_uid not in own:
                    by_study.setdefault(entry[0].study_instance_uid, []).append(entry)
            for entries in by_study.values():
                study_id = self._add_to_study(connection, entries, chores)
                if study_id is not None:
                    touched.add(study_id)
            self._note_senders(connection, batch)
            if self._queue.empty():
                self._note_fact(connection, started)
        return touched, chores + [partial(self._files.delete, e[0].path) for e in batch if e[0].sop_instance_uid in own]

    def _own_outputs(self, connection: sa.Connection, batch: Sequence[_Entry]) -> set[str]:
        """What a PACS sends back of our own is recognised by UID and never counted."""
        uids = [entry[0].sop_instance_uid for entry in batch]
        return set(connection.execute(sa.select(documents.c.identity).where(
            documents.c.identity.in_(uids), documents.c.kind.in_(_OWN))).scalars())

    def _add_to_study(self, connection: sa.Connection, entries: Sequence[_Entry],
                      chores: list[Callable[[], None]]) -> int | None:
        first = entries[0][0]
        study_id = self._study_id(connection, first)
        row = connection.execute(sa.select(studies).where(studies.c.id == study_id).with_for_update()).one()
        if row.files_deleted_at is not None:
            # The files of its former objects are gone: what comes now is all there is.
            connection.execute(sa.delete(instances).where(instances.c.study_id == study_id))
            self._counts.pop(study_id, None)
        paths = [e[0].path for e in entries]
        known = set(connection.execute(sa.select(instances.c.path).where(instances.c.path.in_(paths))).scalars())
        fresh = list({e[0].path: e for e in entries if e[0].path not in known}.values())
        copies = damaged(connection, study_id, fresh)
        chores += [partial(self._files.restore, path, copy) for copy, path in copies.items()]
        fresh = [entry for entry in fresh if entry[0].path not in copies]
        if not fresh:
            return None
        counted = self._count(connection, study_id, row.revision) + sum(not conflict for _, conflict in fresh)
        shared = is_shared(connection, self._facility, study_id, {i.sop_instance_uid for i, _ in fresh})
        connection.execute(sa.insert(instances), [self._row(study_id, i, conflict) for i, conflict in fresh])
        newest = max(i.received_at for i, _ in fresh)
        connection.execute(sa.update(studies).where(studies.c.id == study_id).values(
            receiving=True, instance_count=max(row.instance_count, counted),
            revision=row.revision + 1, files_deleted_at=None, last_received_at=newest,
            burst_started_at=row.burst_started_at if row.receiving else min(i.received_at for i, _ in fresh),
            conflict=row.conflict or shared or any(conflict for _, conflict in fresh)))
        if row.completeness:
            self._mark_late(connection, study_id)
        if row.prior and not comes_as_prior(connection, self._facility, row.study_instance_uid,
                                            {i.sender for i, _ in fresh}):
            promote(connection, row, newest)
        self._remember(study_id, row.revision + 1, counted)
        return study_id

    def _count(self, connection: sa.Connection, study_id: int, revision: int) -> int:
        """Instances of the study; asked of the database where anybody else has changed the study meanwhile."""
        known = self._counts.get(study_id)
        return known[1] if known and known[0] == revision else count_instances(connection, study_id)

    def _remember(self, study_id: int, revision: int, count: int) -> None:
        if len(self._counts) >= _MOST_REMEMBERED:
            self._counts.clear()
        self._counts[study_id] = revision, count

    @staticmethod
    def _mark_late(connection: sa.Connection, study_id: int) -> None:
        """What was reported is no longer the last word on the study."""
        for case_id in connection.execute(sa.select(cases.c.case_id).where(
                cases.c.study_id == study_id, cases.c.state == CaseState.REPORTED.value,
                cases.c.late.is_(False))).scalars().all():
            update_case(connection, case_id, late=True)

    def _study_id(self, connection: sa.Connection, instance: Instance) -> int:
        columns = study_columns(self._facility, instance.tags)
        query = sa.select(studies.c.id).where(studies.c.facility == self._facility,
                                              studies.c.study_instance_uid == instance.study_instance_uid)
        found = connection.execute(query).scalar()
        if found is None:
            at = instance.received_at
            prior = comes_as_prior(connection, self._facility, instance.study_instance_uid, {instance.sender})
            connection.execute(upsert(self._engine, studies).values(
                **columns, sender=storable(instance.sender), first_received_at=at, burst_started_at=at,
                last_received_at=at, receiving=True, prior=prior).on_conflict_do_nothing())
            found = connection.execute(query).scalar_one()
            if not prior:
                create_case(connection, found, self._facility, instance.study_instance_uid, "", received_at=at,
                            state=CaseState.RECEIVING)
            note_patient(connection, columns)
            link_order(connection, found)
        return int(found)

    @staticmethod
    def _row(study_id: int, instance: Instance, conflict: bool) -> dict[str, object]:
        return {"study_id": study_id, "sop_instance_uid": instance.sop_instance_uid,
                "sop_class_uid": instance.sop_class_uid, "series_instance_uid": instance.series_instance_uid,
                "transfer_syntax_uid": instance.transfer_syntax_uid, "path": instance.path, "digest": instance.digest,
                "sender": storable(instance.sender), "size": instance.size, "tags": storable_tags(instance.tags),
                "received_at": instance.received_at, "conflict": conflict}

    def _note_senders(self, connection: sa.Connection, batch: Sequence[_Entry]) -> None:
        heard: dict[str, list[datetime]] = {}
        for instance, _ in batch:
            heard.setdefault(storable(instance.sender), []).append(instance.received_at)
        for name, times in heard.items():
            statement = upsert(self._engine, senders).values(name=name, last_heard_at=max(times), count=len(times))
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={
                "last_heard_at": max(times), "count": senders.c.count + len(times)}))

    def _note_fact(self, connection: sa.Connection, at: datetime) -> None:
        statement = upsert(self._engine, facts).values(name=self._fact, value=at.isoformat())
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": at.isoformat()}))
