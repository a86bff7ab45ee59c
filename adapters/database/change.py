"""Has anything in the database changed? A value that is another one after every commit, and costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import DatabaseAway


class ChangeToken:
    """SQLite: size and time of the database file and its write-ahead log. PostgreSQL: where its log has come to."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        name = engine.url.database if engine.dialect.name == "sqlite" else None
        self._files = (Path(name), Path(f"{name}-wal")) if name else ()

    def __call__(self) -> object:
        """Raises Transient when the database does not answer."""
        if self._files:
            return tuple(_stamp(path) for path in self._files)
        try:
            with self._engine.connect() as connection:
                return str(connection.execute(sa.text("SELECT pg_current_wal_insert_lsn()")).scalar_one())
        except SQLAlchemyError as error:
            raise DatabaseAway(type(error).__name__) from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
