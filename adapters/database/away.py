"""A database that does not answer is one error, whichever way its driver says so."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import OperationalError

from gateway.errors import DatabaseAway

log = structlog.get_logger()
_TOLD_EVERY_SECONDS = 30.0
_NOT_NOW = frozenset({"08", "40", "53", "55", "57", "58"})
"""SQLSTATE classes: connection, rollback, resources, objects in use, operator intervention, system. Others say that the
statement cannot be carried out, however often it is tried."""


class Away:
    """Turns the driver's errors that say "not now" into our own, and tells the log once in a while."""

    def __init__(self) -> None:
        self._told_at = -_TOLD_EVERY_SECONDS

    def meet(self, context: sa.engine.ExceptionContext) -> None:
        """Raises DatabaseAway; nothing for an error of another kind, nor in the pool's own look at a connection."""
        if context.is_pre_ping or not _says_not_now(context):
            return
        # What is said of a statement may repeat values; of a connection that was not to be had, it cannot.
        away = DatabaseAway(first_line(context.original_exception) if context.connection is None else "")
        self._tell(type(context.original_exception).__name__, away.why)
        raise away

    def _tell(self, kind: str, why: str) -> None:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_SECONDS:
            self._told_at = time.monotonic()
            log.warning("database_does_not_answer", error=kind, why=why)


def _says_not_now(context: sa.engine.ExceptionContext) -> bool:
    original = context.original_exception
    if not isinstance(original, Exception):  # the process is being ended
        return False
    if context.is_disconnect:
        return True
    if not isinstance(context.sqlalchemy_exception, OperationalError):
        return False
    if name := getattr(original, "sqlite_errorname", ""):
        return name not in ("SQLITE_ERROR", "SQLITE_TOOBIG")  # faults of a statement
    state = getattr(original, "sqlstate", None)
    return state is None or state[:2] in _NOT_NOW


class Pool(sa.QueuePool):
    """Connections that all hang are a database that does not answer as well."""

    def _do_get(self) -> Any:
        try:
            return super()._do_get()
        except sa.exc.TimeoutError as error:
            raise DatabaseAway("every connection is in use") from error


def first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
