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
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway import json_text
from gateway.errors import Transient
from gateway.settings import TriageSettings

DEFAULT_TRIAGE = TriageSettings()
MIGRATIONS = Path(__file__).parent / "migrations"
_WRITER = "writer_lock"
TRIAGE = "triage_policy"
"""Execution option of the engine: the policy that sort keys are computed with."""
_BUSY_SECONDS = 30


def database_url(configured: str, data_dir: Path) -> str:
    """The configured URL, or SQLite under `data_dir`."""
    return configured or f"sqlite:///{(data_dir / 'gateway.sqlite').resolve()}"


def open_database(url: str, triage: TriageSettings = DEFAULT_TRIAGE) -> sa.Engine:
    """An engine with the gateway's habits: WAL and synchronous FULL on SQLite, immediate write transactions."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True, hide_parameters=True,
                                json_serializer=_to_json, json_deserializer=json_text.loads,
                                execution_options={TRIAGE: triage})
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, pool_size=8,
                              hide_parameters=True, json_serializer=_to_json, json_deserializer=json_text.loads,
                              execution_options={_WRITER: threading.Lock(), TRIAGE: triage})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


class Written(str):
    """A value for a column of JSON that is JSON already."""


def _to_json(value: Any) -> str:
    return value if isinstance(value, Written) else json.dumps(value)


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
    except OperationalError as error:
        told = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        raise Transient(f"database_url: the database cannot be opened: {told[0]}") from error


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One write transaction. SQLite takes the write lock at once, so that a later upgrade cannot fail as busy.

    Raises Transient when the database cannot be reached or stays locked.
    """
    try:
        with _turn(engine), engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
    except (OperationalError, DBAPIError) as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise Transient(f"the database did not answer: {type(error.orig).__name__}") from error
        raise


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
