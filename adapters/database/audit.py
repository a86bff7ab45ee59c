"""Who changed or deleted what, as rows that are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.opaque import row_before
from adapters.database.tables import audit
from gateway.library import AuditLine


def note(connection: sa.Connection, at: datetime, who: str, action: str, subject: str, **detail: Any) -> None:
    """One line, in the transaction of what it tells of. `subject`, `detail`: our ids and counts only."""
    connection.execute(sa.insert(audit).values(at=at, who=who, action=action, subject=subject, detail=detail))


class DatabaseAudit:
    """Implements gateway.library.Audit."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def page(self, limit: int, cursor: str | None = None) -> tuple[tuple[AuditLine, ...], str | None]:
        query = sa.select(audit)
        before = row_before(cursor)
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(audit.c.id.desc()).limit(limit + 1)).all()
        lines = tuple(AuditLine(row.id, row.at, row.who, row.action, row.subject, row.detail) for row in rows[:limit])
        return lines, str(lines[-1].line_id) if len(rows) > limit else None
