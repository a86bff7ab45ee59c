"""Opens the database, SQLite under the data directory or PostgreSQL, and brings its schema up to date."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from adapters.database.away import Away, Pool, first_line
from gateway import json_text
from gateway.errors import DatabaseAway, Transient
from gateway.settings import TriageSettings

DEFAULT_TRIAGE = TriageSettings()
MIGRATIONS = Path(__file__).parent / "migrations"
_WRITER = "writer_lock"
TRIAGE = "triage_policy"
"""Execution option of the engine: the policy that sort keys are computed with."""
_BUSY_SECONDS = 30
_PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""Of PostgreSQL's client, in seconds and milliseconds, where the URL names no other: a server may be away silently."""


def database_url(configured: str, data_dir: Path) -> str:
    """The configured URL, or SQLite under `data_dir`."""
    return configured or f"sqlite:///{(data_dir / 'gateway.sqlite').resolve()}"


def open_database(url: str, triage: TriageSettings = DEFAULT_TRIAGE) -> sa.Engine:
    """An engine with the gateway's habits: WAL and synchronous FULL on SQLite, immediate write transactions.

    Whatever asks it meets DatabaseAway where the database does not answer.
    """
    engine = _open_sqlite(url, triage) if url.startswith("sqlite") else _open_server(url, triage)
    sa.event.listen(engine, "handle_error", Away().meet)
    return engine


def _open_server(url: str, triage: TriageSettings) -> sa.Engine:
    asked = sa.make_url(url).query
    patience = {name: value for name, value in _PATIENCE.items() if name not in asked}
    return sa.create_engine(url, connect_args=patience, pool_size=8, max_overflow=8, pool_pre_ping=True,
                            execution_options={TRIAGE: triage}, **_HABITS)


def _open_sqlite(url: str, triage: TriageSettings) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, pool_size=8,
                              execution_options={_WRITER: threading.Lock(), TRIAGE: triage}, **_HABITS)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


class Written(str):
    """A value for a column of JSON that is JSON already."""


def _to_json(value: Any) -> str:
    return value if isinstance(value, Written) else json.dumps(value)


_HABITS: dict[str, Any] = {"poolclass": Pool, "hide_parameters": True, "json_serializer": _to_json,
                           "json_deserializer": json_text.loads}


def engine_url(url: str, data_dir: Path) -> str:
    """DBOS keeps its tables in a file of its own beside ours on SQLite, in a schema of its own on PostgreSQL."""
    if not url.startswith("sqlite"):
        return url
    path = (data_dir / "engine.sqlite").resolve()
    open_database(f"sqlite:///{path}").connect().close()
    return f"sqlite:///{path}"


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def migrate(engine: sa.Engine) -> None:
    """Alembic upgrade to the newest revision. Raises Transient when the database cannot be reached."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (OperationalError, DatabaseAway) as error:
        told = error.why if isinstance(error, DatabaseAway) else first_line(error.orig)
        raise Transient(f"database_url: the database cannot be opened: {told or error}") from error


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One write transaction. SQLite takes the write lock at once, so that a later upgrade cannot fail as busy.

    Raises DatabaseAway when the database cannot be reached or stays locked, Transient while another writes for long.
    """
    with _turn(engine), engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def _turn(engine: sa.Engine) -> Iterator[None]:
    """SQLite has one writer. Threads of this process wait for it here: its own waiting is sleeping and trying again."""
    lock: threading.Lock | None = engine.get_execution_options().get(_WRITER)
    if lock is None:
        yield
        return
    if not lock.acquire(timeout=_BUSY_SECONDS):
        raise Transient("the database is busy with another transaction")
    try:
        yield
    finally:
        lock.release()


def upsert(engine: sa.Engine | str, table: sa.Table) -> Any:
    """The INSERT … ON CONFLICT of the engine's dialect (or of the one named)."""
    if (engine if isinstance(engine, str) else engine.dialect.name) == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table)
