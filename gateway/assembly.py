"""Is the study complete? A pure function of what has been heard of it and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.case import Completeness
from gateway.settings import AssemblySettings


@dataclass(frozen=True, slots=True)
class Heard:
    """What has been heard of one study since its present burst began. Times are aware UTC."""

    burst_started_at: datetime
    last_received_at: datetime

    def since(self, open_since: datetime | None) -> Heard:
        """The same, where nothing could be heard before `open_since`: an interrupted sender has its time to return."""
        if open_since is None:
            return self
        return Heard(max(self.burst_started_at, open_since), max(self.last_received_at, open_since))


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: look again at `until`, unless something is heard before."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Handover:
    """Read it now."""

    completeness: Completeness
    evidence: str


def decide(heard: Heard, now: datetime, settings: AssemblySettings) -> Wait | Handover:
    """Quiet for `quiet_seconds` → hand over as `assumed`; still trickling after `max_wait_seconds` → as `partial`."""
    quiet_at = heard.last_received_at + timedelta(seconds=settings.quiet_seconds)
    cap_at = heard.burst_started_at + timedelta(seconds=max(settings.max_wait_seconds, settings.quiet_seconds))
    if now >= quiet_at:
        return Handover(Completeness.ASSUMED, f"quiet for {settings.quiet_seconds:g} s")
    if now >= cap_at:
        return Handover(Completeness.PARTIAL, f"objects still arrive after {settings.max_wait_seconds:g} s")
    return Wait(min(quiet_at, cap_at))
