"""Implements gateway.operations.Operations: small questions, each answered from an index."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from adapters.database.tables import cases, deliveries, senders
from gateway.case import CaseState
from gateway.delivery import DeliveryState
from gateway.operations import Counted, DestinationLoad, Queue

_QUEUES = (CaseState.RECEIVING, CaseState.WAITING, CaseState.ANALYSING)
_OPEN = (DeliveryState.PENDING, DeliveryState.UNPROVEN, DeliveryState.REFUSED, DeliveryState.DEAD)
_SPAN = timedelta(hours=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


class DatabaseOperations:
    """`sample` is to be called about once a minute: rates are told from what it keeps, in memory."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime] = utc_now) -> None:
        self._engine, self._clock = engine, clock
        self._lock = threading.Lock()
        self._samples: deque[Counted] = deque([self._counted()])

    def queues(self) -> tuple[Queue, ...]:
        query = sa.select(cases.c.state, sa.func.count(), sa.func.min(cases.c.received_at)).where(
            cases.c.state.in_(_QUEUES), cases.c.lead).group_by(cases.c.state)
        with self._engine.connect() as connection:
            found = {state: (count, oldest) for state, count, oldest in connection.execute(query)}
        return tuple(Queue(state.value, *found.get(state.value, (0, None))) for state in _QUEUES)

    def destinations(self, configured: Sequence[str]) -> tuple[DestinationLoad, ...]:
        query = sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count(),
                          sa.func.min(deliveries.c.created_at)).where(
            deliveries.c.state.in_(_OPEN)).group_by(deliveries.c.destination, deliveries.c.state)
        with self._engine.connect() as connection:
            found: dict[str, _Standing] = {}
            for name, state, count, oldest in connection.execute(query.order_by(deliveries.c.destination)):
                found.setdefault(name, {})[DeliveryState(state)] = (count, oldest)
            return tuple(_load(connection, name, found.get(name, {})) for name in dict.fromkeys([*configured, *found]))

    def sample(self) -> None:
        """Remember how much each sender has sent by now; forget what is older than an hour."""
        counted = self._counted()
        with self._lock:
            self._samples.append(counted)
            while len(self._samples) > 1 and counted.at - self._samples[0].at > _SPAN:
                self._samples.popleft()

    def earlier(self) -> Sequence[Counted]:
        with self._lock:
            kept = list(self._samples)
        return [*kept, self._counted()]

    def _counted(self) -> Counted:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(senders.c.name, senders.c.count)).tuples()
            return Counted(self._clock(), dict(rows.all()))


_Standing = dict[DeliveryState, tuple[int, datetime]]
"""State → how many deliveries, and when the oldest was made."""


def _load(connection: sa.Connection, name: str, standing: _Standing) -> DestinationLoad:
    mine = deliveries.c.destination == name
    success = connection.execute(sa.select(deliveries.c.delivered_at).where(
        mine, deliveries.c.state == DeliveryState.DELIVERED).order_by(
        deliveries.c.delivered_at.desc()).limit(1)).scalar()
    waiting, oldest = standing.get(DeliveryState.PENDING, (0, None))
    unproven, dead, refused = (standing.get(state, (0, None))[0] for state in (
        DeliveryState.UNPROVEN, DeliveryState.DEAD, DeliveryState.REFUSED))
    return DestinationLoad(name, waiting, unproven, dead + refused, oldest, success,
                           _last_error(connection, mine, standing))


def _last_error(connection: sa.Connection, mine: sa.ColumnElement[bool], standing: _Standing) -> str:
    """Of the newest delivery among the newest of each state: no more than four rows are looked at."""
    newest: list[tuple[int, str]] = []
    for state in standing:
        row: Any = connection.execute(sa.select(deliveries.c.id, deliveries.c.last_error).where(
            mine, deliveries.c.state == state, deliveries.c.last_error != "").order_by(
            deliveries.c.id.desc()).limit(1)).first()
        if row is not None:
            newest.append((row.id, row.last_error))
    return max(newest, default=(0, ""))[1]
