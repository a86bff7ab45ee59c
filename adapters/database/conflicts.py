"""SOP Instance UIDs that objects of several studies have: shown on each of those studies."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from adapters.database.cases import update_case
from adapters.database.tables import cases, instances, studies


def is_shared(connection: sa.Connection, facility: str, study_id: int, sop_instance_uids: Collection[str]) -> bool:
    """Whether other studies of the facility have objects of the same UIDs; those are marked, and their cases put in
    their places."""
    others = set(connection.execute(sa.select(instances.c.study_id).join(
        studies, studies.c.id == instances.c.study_id).where(
        instances.c.sop_instance_uid.in_(sop_instance_uids), instances.c.study_id != study_id,
        studies.c.facility == facility)).scalars())
    for other in sorted(others):
        _mark(connection, other)
    return bool(others)


def _mark(connection: sa.Connection, study_id: int) -> None:
    marked = connection.execute(sa.update(studies).where(
        studies.c.id == study_id, studies.c.conflict.is_(False)).values(conflict=True))
    if marked.rowcount:
        for case_id in connection.execute(sa.select(cases.c.case_id).where(
                cases.c.study_id == study_id)).scalars().all():
            update_case(connection, case_id)
