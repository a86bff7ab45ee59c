"""Implements gateway.operations.Operations: small questions, each answered from an index."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from adapters.database.tables import cases, deliveries, senders
from gateway.case import CaseState
from gateway.delivery import DeliveryState
from gateway.operations import Counted, DestinationLoad, Queue

_QUEUES = (CaseState.RECEIVING, CaseState.WAITING, CaseState.ANALYSING)
_OPEN = (DeliveryState.PENDING, DeliveryState.UNPROVEN, DeliveryState.REFUSED, DeliveryState.DEAD)
_SPAN = timedelta(hours=1)
_NEWEST = 100
"""Deliveries looked through for the last error."""


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
        with self._engine.connect() as connection:
            loads = [_load(connection, name) for name in dict.fromkeys([*configured, *_named(connection)])]
        return tuple(load for load in loads
                     if load.name in configured or load.waiting or load.unproven or load.dead)

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


def _named(connection: sa.Connection) -> Iterator[str]:
    """Each destination that ever was, by leaps through the index."""
    name: str | None = ""
    while (name := connection.execute(sa.select(sa.func.min(deliveries.c.destination)).where(
            deliveries.c.destination > name)).scalar()) is not None:
        yield name


def _load(connection: sa.Connection, name: str) -> DestinationLoad:
    """State by state: each is a look at its own part of the index."""
    standing = {state: _standing(connection, name, state) for state in _OPEN}
    success = connection.execute(sa.select(deliveries.c.delivered_at).where(
        deliveries.c.destination == name, deliveries.c.state == DeliveryState.DELIVERED).order_by(
        deliveries.c.delivered_at.desc()).limit(1)).scalar()
    waiting, oldest = standing[DeliveryState.PENDING]
    dead = standing[DeliveryState.DEAD][0] + standing[DeliveryState.REFUSED][0]
    failed = [state for state, (count, _) in standing.items() if count]
    return DestinationLoad(name, waiting, standing[DeliveryState.UNPROVEN][0], dead, oldest, success,
                           _last_error(connection, name, failed))


def _standing(connection: sa.Connection, name: str, state: DeliveryState) -> tuple[int, datetime | None]:
    """How many deliveries, and when the first of them was made; counted in the index, whatever their number."""
    count, first = connection.execute(sa.select(sa.func.count(), sa.func.min(deliveries.c.id)).where(
        deliveries.c.destination == name, deliveries.c.state == state)).one()
    oldest = connection.execute(sa.select(deliveries.c.created_at).where(deliveries.c.id == first)).scalar()
    return int(count), oldest


def _last_error(connection: sa.Connection, name: str, states: Sequence[DeliveryState]) -> str:
    """The newest one among the newest deliveries of each state."""
    found: list[tuple[int, str]] = []
    for state in states:
        newest = sa.select(deliveries.c.id).where(
            deliveries.c.destination == name, deliveries.c.state == state).order_by(
            deliveries.c.id.desc()).limit(_NEWEST)
        found += connection.execute(sa.select(deliveries.c.id, deliveries.c.last_error).where(
            deliveries.c.id.in_(newest), deliveries.c.last_error != "")).tuples()
    return max(found, default=(0, ""))[1]
