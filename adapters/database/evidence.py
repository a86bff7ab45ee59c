"""What is said of studies besides their objects, as rows: kept before it is answered, read by the assembly clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import upsert, writing
from adapters.database.slices import slices
from adapters.database.studies import storable
from adapters.database.tables import cases, documents, evidence, instances, studies
from gateway.assembly import Heard, unanswered
from gateway.completion import Evidence, EvidenceKind, State
from gateway.delivery import Kind

_OWN = (Kind.SR.value, Kind.SC.value, Kind.SEG.value)
_KEY = ("facility", "study_instance_uid", "kind", "identity")


class DatabaseEvidence:
    """Implements gateway.completion.EvidenceLog. `changed` is called after each commit."""

    def __init__(self, engine: sa.Engine, facility: str, changed: Callable[[], None]) -> None:
        self._engine, self._facility, self._changed = engine, facility, changed

    def hear(self, said: Sequence[Evidence]) -> None:
        with writing(self._engine) as connection:
            for one in said:
                self._put(connection, one)
        self._changed()

    def create(self, said: Sequence[Evidence]) -> bool:
        with writing(self._engine) as connection:
            known = self._found(connection, said[0].kind, said[0].identity)
            fresh = not known and all(self._put(connection, one, anew=True) for one in said)
        self._changed()
        return fresh

    def amend(self, kind: EvidenceKind, identity: str, change: Callable[[Evidence], Evidence]) -> bool:
        with writing(self._engine) as connection:
            found = self._found(connection, kind, identity)
            for one in found:
                self._put(connection, change(one))
        if found:
            self._changed()
        return bool(found)

    def requested(self, transaction_uid: str, sender: str, named: Sequence[str], at: datetime) -> bool:
        with writing(self._engine) as connection:
            by_study = self._by_study(connection, named)
            if len(by_study) == 1:
                # What is not here (yet) can only belong to the one study that is.
                by_study = {study: list(named) for study in by_study}
            for study, some in by_study.items():
                self._put(connection, Evidence(EvidenceKind.COMMITMENT, study, transaction_uid, sender, at,
                                               listed={"": frozenset(some)}))
        if by_study:
            self._changed()
        return bool(by_study)

    def counted(self, study_instance_uid: str, archive: str, count: int, at: datetime) -> None:
        with writing(self._engine) as connection:
            before = self._found(connection, EvidenceKind.COUNT, archive, study_instance_uid)
            readings = before[0].readings + 1 if before and before[0].count == count else 1
            self._put(connection, Evidence(EvidenceKind.COUNT, study_instance_uid, archive, archive, at, count=count,
                                           readings=readings))
        self._changed()

    def uncounted(self, study_instance_uid: str, archive: str, at: datetime) -> None:
        with writing(self._engine) as connection:
            before = self._found(connection, EvidenceKind.COUNT, archive, study_instance_uid)
            last = connection.execute(sa.select(studies.c.last_received_at).where(
                studies.c.facility == self._facility,
                studies.c.study_instance_uid == study_instance_uid)).scalar()
            if before and (before[0].count is not None or last is None or before[0].heard_at >= last):
                return
            self._put(connection, unanswered(archive, at, study_instance_uid))
        self._changed()

    # ------------------------------------------------------------ rows

    def _put(self, connection: sa.Connection, one: Evidence, *, anew: bool = False) -> bool:
        """False where it is there already and was to be new."""
        values = {"facility": self._facility, "study_instance_uid": one.study_instance_uid, "kind": one.kind.value,
                  "identity": storable(one.identity), "state": one.state.value, "sender": storable(one.sender),
                  "heard_at": one.heard_at, "body": _body(one)}
        statement = upsert(self._engine, evidence).values(**values)
        changes = {name: value for name, value in values.items() if name not in _KEY}
        statement = statement.on_conflict_do_nothing() if anew else statement.on_conflict_do_update(
            index_elements=list(_KEY), set_=changes)
        if not connection.execute(statement).rowcount:
            return False
        self._tell(connection, one)
        return True

    def _tell(self, connection: sa.Connection, one: Evidence) -> None:
        """A hand-over under way is thought over; a study that was handed over and is now known to lack something waits
        for it again."""
        row = connection.execute(sa.select(studies).where(
            studies.c.facility == self._facility,
            studies.c.study_instance_uid == one.study_instance_uid).with_for_update()).first()
        if row is None:
            return
        changes: dict[str, Any] = {"revision": row.revision + 1} if row.receiving else {}
        if not row.receiving and row.completeness and row.files_deleted_at is None and _lacks(connection, row.id, one):
            changes = {"revision": row.revision + 1, "receiving": True, "burst_started_at": one.heard_at}
        if changes:
            connection.execute(sa.update(studies).where(studies.c.id == row.id).values(**changes))

    def _found(self, connection: sa.Connection, kind: EvidenceKind, identity: str, study: str = "") -> list[Evidence]:
        query = sa.select(evidence).where(evidence.c.facility == self._facility, evidence.c.kind == kind.value,
                                          evidence.c.identity == storable(identity)).with_for_update()
        if study:
            query = query.where(evidence.c.study_instance_uid == study)
        return [evidence_of(row) for row in connection.execute(query.order_by(evidence.c.id))]

    def _by_study(self, connection: sa.Connection, named: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for some in slices(named):
            for study, uid in connection.execute(sa.select(
                    studies.c.study_instance_uid, instances.c.sop_instance_uid).join(
                    instances, instances.c.study_id == studies.c.id).where(
                    studies.c.facility == self._facility, instances.c.sop_instance_uid.in_(some))):
                found.setdefault(study, []).append(uid)
        return found


class HeldInstances:
    """SOP Instance UIDs of studies that are being received: each is read once, however often it is asked for.

    Thread-safe. `keep_only` forgets the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[int, tuple[int, dict[str, datetime]]] = {}

    def of(self, connection: sa.Connection, study_id: int) -> dict[str, datetime]:
        """SOP Instance UID → when received."""
        with self._lock:
            newest, found = self._found.get(study_id, (0, {}))
        fresh = connection.execute(sa.select(
            instances.c.id, instances.c.sop_instance_uid, instances.c.received_at).where(
            instances.c.study_id == study_id, instances.c.id > newest).order_by(instances.c.id)).all()
        if fresh:
            found = found | {row.sop_instance_uid: row.received_at for row in fresh}
            with self._lock:
                self._found[study_id] = (fresh[-1].id, found)
        return found

    def keep_only(self, study_ids: Sequence[int]) -> None:
        with self._lock:
            self._found = {study_id: self._found[study_id] for study_id in study_ids if study_id in self._found}


def own_documents(connection: sa.Connection, study_id: int) -> dict[str, datetime]:
    """What the gateway made of a study: an archive that got it lists it as well."""
    rows = connection.execute(sa.select(documents.c.identity, documents.c.created_at).join(
        cases, cases.c.case_id == documents.c.case_id).where(
        cases.c.study_id == study_id, documents.c.kind.in_(_OWN)))
    return {row.identity: row.created_at for row in rows}


def elsewhere(connection: sa.Connection, facility: str, uids: Sequence[str]) -> dict[str, datetime]:
    """Instances of other studies, by Study Instance UID: a procedure step may be about several."""
    return {row.sop_instance_uid: row.received_at for row in connection.execute(sa.select(
        instances.c.sop_instance_uid, instances.c.received_at).join(
        studies, studies.c.id == instances.c.study_id).where(
        studies.c.facility == facility, studies.c.study_instance_uid.in_(uids)))}


AS_HEARD = (studies.c.id, studies.c.burst_started_at, studies.c.last_received_at, studies.c.sender, studies.c.facility,
            studies.c.revision)
"""What `heard_of` takes of a study."""


def heard_of(connection: sa.Connection, row: Any, said: Sequence[Evidence], held: HeldInstances) -> Heard:
    """Of a study's row: `AS_HEARD` at least."""
    here: dict[str, datetime] = {}
    count = 0
    if any(one.listed or one.count is not None for one in said):
        found, made = held.of(connection, row.id), own_documents(connection, row.id)
        count = len(found)
        others = {uid for one in said for uid in one.studies}
        here = made | (elsewhere(connection, row.facility, sorted(others)) if others else {}) | found
    return Heard(row.burst_started_at, row.last_received_at, tuple(said), here, count, row.sender.partition(":")[2],
                 revision=row.revision)


def evidence_of_receiving(connection: sa.Connection, study_id: int | None = None) -> dict[int, list[Evidence]]:
    """Study row id → what was said, for the studies that are being received, or for that one of them."""
    found: dict[int, list[Evidence]] = {}
    query = sa.select(studies.c.id.label("study_id"), *evidence.c).join(
        evidence, sa.and_(evidence.c.facility == studies.c.facility,
                          evidence.c.study_instance_uid == studies.c.study_instance_uid)).where(studies.c.receiving)
    for row in connection.execute(query if study_id is None else query.where(studies.c.id == study_id)):
        found.setdefault(row.study_id, []).append(evidence_of(row))
    return found


def forget_evidence(connection: sa.Connection, before: datetime) -> int:
    """What was said before that time and no study waits for: the cases keep what they were handed over by."""
    waits = sa.select(studies.c.id).where(
        studies.c.facility == evidence.c.facility, studies.c.study_instance_uid == evidence.c.study_instance_uid,
        studies.c.receiving).exists()
    return int(connection.execute(sa.delete(evidence).where(evidence.c.heard_at < before, ~waits)).rowcount)


def evidence_of(row: Any) -> Evidence:
    body: Mapping[str, Any] = row.body
    listed = {series: frozenset(uids) for series, uids in body.get("listed", {}).items()}
    return Evidence(EvidenceKind(row.kind), row.study_instance_uid, row.identity, row.sender, row.heard_at,
                    State(row.state), listed, body.get("count"), body.get("readings", 1),
                    tuple(body.get("studies", ())))


def _body(one: Evidence) -> dict[str, Any]:
    body: dict[str, Any] = {"listed": {series: sorted(uids) for series, uids in one.listed.items()}}
    if one.count is not None:
        body |= {"count": one.count, "readings": one.readings}
    return body | ({"studies": list(one.studies)} if one.studies else {})


def _lacks(connection: sa.Connection, study_id: int, one: Evidence) -> bool:
    held = set(connection.execute(sa.select(instances.c.sop_instance_uid).where(
        instances.c.study_id == study_id)).scalars())
    here = held | own_documents(connection, study_id).keys()
    if one.studies:
        here |= elsewhere(connection, connection.execute(sa.select(studies.c.facility).where(
            studies.c.id == study_id)).scalar_one(), one.studies).keys()
    return bool(one.instances - here) or (one.count or 0) > len(held)
