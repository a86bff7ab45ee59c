"""Opens the database, SQLite under the data directory or PostgreSQL, and brings its schema up to date."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from gateway import json_text
from gateway.errors import DatabaseAway, Transient
from gateway.settings import TriageSettings

log = structlog.get_logger()
DEFAULT_TRIAGE = TriageSettings()
MIGRATIONS = Path(__file__).parent / "migrations"
_WRITER = "writer_lock"
TRIAGE = "triage_policy"
"""Execution option of the engine: the policy that sort keys are computed with."""
_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_TOLD_EVERY_SECONDS = 30.0


def database_url(configured: str, data_dir: Path) -> str:
    """The configured URL, or SQLite under `data_dir`."""
    return configured or f"sqlite:///{(data_dir / 'gateway.sqlite').resolve()}"


def open_database(url: str, triage: TriageSettings = DEFAULT_TRIAGE) -> sa.Engine:
    """An engine with the gateway's habits: WAL and synchronous FULL on SQLite, immediate write transactions.

    Whatever asks it meets DatabaseAway where the database does not answer.
    """
    engine = _open_sqlite(url, triage) if url.startswith("sqlite") else _open_server(url, triage)
    sa.event.listen(engine, "handle_error", _Away().meet)
    return engine


def _open_server(url: str, triage: TriageSettings) -> sa.Engine:
    patience = {} if "connect_timeout" in sa.make_url(url).query else {"connect_timeout": _CONNECT_SECONDS}
    return sa.create_engine(url, connect_args=patience, pool_size=8, max_overflow=8, pool_pre_ping=True,
                            hide_parameters=True, json_serializer=_to_json, json_deserializer=json_text.loads,
                            execution_options={TRIAGE: triage})


def _open_sqlite(url: str, triage: TriageSettings) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, pool_size=8,
                              hide_parameters=True, json_serializer=_to_json, json_deserializer=json_text.loads,
                              execution_options={_WRITER: threading.Lock(), TRIAGE: triage})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


class _Away:
    """Turns the driver's errors that say "not now" into our own, and tells the log once in a while."""

    def __init__(self) -> None:
        self._told_at = -_TOLD_EVERY_SECONDS

    def meet(self, context: sa.engine.ExceptionContext) -> None:
        """Raises DatabaseAway; nothing for an error of another kind, nor in the pool's own look at a connection."""
        error = context.sqlalchemy_exception
        if context.is_pre_ping or not (context.is_disconnect or isinstance(error, OperationalError)):
            return
        if getattr(context.original_exception, "sqlite_errorname", "") == "SQLITE_ERROR":
            return  # a fault in a statement: SQLite has no other name for it
        # What is said of a statement may repeat values; of a connection that was not to be had, it cannot.
        away = DatabaseAway(_first_line(context.original_exception) if context.connection is None else "")
        self._tell(type(context.original_exception).__name__, away.why)
        raise away

    def _tell(self, kind: str, why: str) -> None:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_SECONDS:
            self._told_at = time.monotonic()
            log.warning("database_does_not_answer", error=kind, why=why)


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


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
    except (OperationalError, DatabaseAway) as error:
        told = error.why if isinstance(error, DatabaseAway) else _first_line(error.orig)
        raise Transient(f"database_url: the database cannot be opened: {told or error}") from error


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
    except OperationalError as error:
        raise DatabaseAway(type(error.orig).__name__) from error


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
