"""Objects under one SOP Instance UID: of several studies, which is shown on each, and of one study, where the first
file may have been damaged since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa

from adapters.database.cases import update_case
from adapters.database.tables import cases, instances, studies
from gateway.study import Instance


def is_shared(connection: sa.Connection, facility: str, study_id: int, sop_instance_uids: Collection[str]) -> bool:
    """Whether other studies of the facility have objects of the same UIDs; those are marked, and their cases put in
    their places."""
    # One question after the other: asked in one, a database may go through all objects of the facility.
    having = set(connection.execute(sa.select(instances.c.study_id).where(
        instances.c.sop_instance_uid.in_(sop_instance_uids))).scalars())
    others = connection.execute(sa.select(studies.c.id).where(
        studies.c.id.in_(having - {study_id}), studies.c.facility == facility).order_by(studies.c.id)).scalars().all()
    for other in others:
        _mark(connection, other)
    return bool(others)


def _mark(connection: sa.Connection, study_id: int) -> None:
    marked = connection.execute(sa.update(studies).where(
        studies.c.id == study_id, studies.c.conflict.is_(False)).values(conflict=True))
    if marked.rowcount:
        for case_id in connection.execute(sa.select(cases.c.case_id).where(
                cases.c.study_id == study_id)).scalars().all():
            update_case(connection, case_id)


def damaged(connection: sa.Connection, study_id: int, entries: Iterable[tuple[Instance, bool]]) -> Mapping[str, str]:
    """Of the `entries` (object, whether it lies beside another of its UID) those that say what the other is known to
    say: path → path of that other, which does not any more."""
    beside = [instance for instance, conflict in entries if conflict]
    if not beside:
        return {}
    kept = {(row.sop_instance_uid, row.digest): row.path for row in connection.execute(sa.select(
        instances.c.sop_instance_uid, instances.c.digest, instances.c.path).where(
        instances.c.study_id == study_id, instances.c.conflict.is_(False),
        instances.c.sop_instance_uid.in_({one.sop_instance_uid for one in beside})))}
    return {one.path: kept[key] for one in beside if (key := (one.sop_instance_uid, one.digest)) in kept}
