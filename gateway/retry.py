"""When again, or dead? Back-off of deliveries and readings, as a pure function of the attempts and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.settings import DeliverySettings


@dataclass(frozen=True, slots=True)
class Again:
    after: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    reason: str


def next_delivery(attempts: int, created_at: datetime, now: datetime, settings: DeliverySettings) -> Again | Dead:
    """After the `attempts`-th failure (≥ 1): doubling from first to longest interval, dead past the deadline."""
    if now - created_at >= timedelta(seconds=settings.give_up_after_seconds):
        return Dead(f"not delivered within {timedelta(seconds=settings.give_up_after_seconds)}")
    seconds = settings.first_retry_seconds * 2.0 ** min(attempts - 1, 40)
    return Again(timedelta(seconds=min(seconds, settings.longest_retry_seconds)))


def next_reading(attempts: int, limit: int) -> Again | Dead:
    """After the `attempts`-th reading that could not be done for now: 2 s doubling to 5 minutes, `limit` times."""
    if attempts >= limit:
        return Dead(f"given up after {attempts} attempts")
    return Again(timedelta(seconds=min(2.0 * 2.0 ** min(attempts - 1, 20), 300.0)))
