"""What the people who keep the gateway running look at: senders, queues, destinations, disk, models. Values, ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.views import SavedViews


@dataclass(frozen=True, slots=True)
class Queue:
    """Studies in one state of the way to a report. `oldest`: when the first object of the oldest came, aware UTC."""

    state: str
    studies: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class DestinationLoad:
    """How deliveries to one destination stand. `waiting`: still tried; `unproven`: sent, but the proof never came;
    `dead`: given up. `oldest`: since when the oldest waiting one waits. `last_error`: of the newest delivery that
    failed and has not been delivered since.
    """

    name: str
    waiting: int = 0
    unproven: int = 0
    dead: int = 0
    oldest: datetime | None = None
    last_success: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where objects are stored. `used_share` in [0, 1]."""

    free_bytes: int
    used_share: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that inference took since the start of this process: how many were measured, median, 95th percentile."""

    count: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Objects or messages of each sender in all, by sender (`dicom:CT1`), as counted at a time."""

    at: datetime
    received: Mapping[str, int]


class Operations(Protocol):
    """Reads only; cheap at a hundred thousand cases."""

    def queues(self) -> tuple[Queue, ...]:
        """One for each state before the report, in the order in which a study passes them."""
        ...

    def destinations(self, configured: Sequence[str]) -> tuple[DestinationLoad, ...]:
        """The configured ones in their order, then others that something still waits for."""
        ...

    def earlier(self) -> Sequence[Counted]:
        """Counts of the last hour, the oldest first; the last one is of now."""
        ...


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages look at besides `gateway.ports.Queries`. `change`: another value after every change of a row."""

    views: SavedViews
    operations: Operations
    change: Callable[[], object]
    disk: Callable[[], Disk]
    latencies: Callable[[], Mapping[str, Latency]]


def received_lately(counts: Sequence[Counted]) -> tuple[Mapping[str, int], timedelta]:
    """How much each sender sent between the first and the last count, and how long that is."""
    if not counts:
        return {}, timedelta(0)
    first, last = counts[0], counts[-1]
    sent = {name: n - first.received.get(name, 0) for name, n in last.received.items()}
    return sent, last.at - first.at


def is_silent(last_heard: datetime | None, now: datetime, silence_hours: float) -> bool:
    """Whether a sender that was heard once has not been heard for too long; 0 hours: never."""
    return bool(silence_hours and last_heard and now - last_heard > timedelta(hours=silence_hours))


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles by nearest rank; zeros where nothing was measured."""
    ordered = sorted(seconds)
    if not ordered:
        return Latency(0, 0.0, 0.0)
    return Latency(len(ordered), _rank(ordered, 50), _rank(ordered, 95))


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
