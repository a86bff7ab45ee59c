"""Is the study complete? A pure function of what has been heard of it and the clock.

- Every known procedure step ended and everything listed here: hand over at once, `complete`.
- A step that is open, instances listed or counted that are not here, expected evidence that has not come: wait, until
  `max_wait_seconds` after the first object; then hand over as `partial`.
- Otherwise `quiet_seconds` after the last object, or `settle_seconds` after somebody said that it was the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.case import Completeness
from gateway.completion import Evidence, EvidenceKind, Lack, Missing, State
from gateway.settings import AssemblyPolicy, AssemblySettings

_CONNECTIONS = (EvidenceKind.RELEASE, EvidenceKind.STOW)
_AGREED = 2
"""Readings of an archive's count that have to agree."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What has been heard of one study. Times are aware UTC.

    `burst_started_at`: when the first object came that no reading has seen. `here`: SOP Instance UID → when received,
    told where evidence speaks of instances. `held`: instances of the study that are here; `own`: what the gateway made
    of it, which an archive may count as well. `sender`: who sends the objects. `open_since`: nothing could be heard
    before; an interrupted sender has its time to return. `revision`: of the study as it was looked at.
    """

    burst_started_at: datetime
    last_received_at: datetime
    evidence: tuple[Evidence, ...] = ()
    here: Mapping[str, datetime] = field(default_factory=dict)
    held: int = 0
    own: int = 0
    sender: str = ""
    open_since: datetime | None = None
    revision: int = 0

    def since(self, open_since: datetime | None) -> Heard:
        return replace(self, open_since=open_since)

    @property
    def quiet_since(self) -> datetime:
        return max(self.last_received_at, self.open_since or self.last_received_at)

    @property
    def waits_since(self) -> datetime:
        return max(self.burst_started_at, self.open_since or self.burst_started_at)


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: look again at `until`, unless something is heard before. `missing`: what is waited for."""

    until: datetime
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Handover:
    """Read it now. `evidence`: {kind, …} each, why it is taken as complete first (see `gateway.completion.told`)."""

    completeness: Completeness
    evidence: tuple[Mapping[str, Any], ...] = ()
    missing: tuple[Missing, ...] = ()


def decide(heard: Heard, now: datetime, settings: AssemblySettings) -> Wait | Handover:
    """See the module. Each sender has its own policy, and only trusted evidence counts."""
    policy = settings.of_sender(heard.sender)
    known = trusted(heard.evidence, policy, settings)
    missing = lacking(heard, known)
    blocked = bool(missing) or any(all(e.kind is not kind for e in known) for kind in policy.expect)
    if not blocked and _proven(heard, known):
        return _handover(Completeness.COMPLETE, "proven", 0, known)
    wait = max(policy.max_wait_seconds, policy.quiet_seconds)
    cap_at = heard.waits_since + timedelta(seconds=wait)
    end_at, why, seconds = _end(heard, known, policy)
    if not blocked and now >= end_at:
        agreed = any(e.kind is EvidenceKind.COUNT and _covers(e, heard) for e in known)
        return _handover(Completeness.COMPLETE if agreed else Completeness.ASSUMED, why, seconds, known)
    if now >= cap_at:
        if now < heard.quiet_since + timedelta(seconds=policy.quiet_seconds):
            missing += (Missing(Lack.ARRIVING),)
        whole = Completeness.PARTIAL if missing else Completeness.ASSUMED
        return _handover(whole, "waited", policy.max_wait_seconds, known, missing)
    return Wait(cap_at if blocked else min(end_at, cap_at), missing)


def trusted(evidence: Iterable[Evidence], policy: AssemblyPolicy, settings: AssemblySettings) -> tuple[Evidence, ...]:
    """What counts: of a kind that both who says it and the study's own sender are trusted with."""
    return tuple(e for e in evidence if e.kind in policy.trust and e.kind in settings.of_sender(e.sender).trust)


def lacking(heard: Heard, known: Sequence[Evidence]) -> tuple[Missing, ...]:
    """What is known to be still to come."""
    series: dict[str, str] = {}
    for uid, instances in sorted((item for e in known for item in e.listed.items()), key=lambda item: item[0]):
        series |= dict.fromkeys(instances, uid)  # the name of a series sorts after no name
    listed: dict[str, list[str]] = {}
    for instance, uid in series.items():
        listed.setdefault(uid, []).append(instance)
    found = []
    for uid, instances_of in sorted(listed.items()):
        if absent := sum(instance not in heard.here for instance in instances_of):
            found.append(Missing(Lack.SERIES if uid else Lack.LISTED, absent, len(instances_of), uid))
    counted = max((e.count for e in known if e.count is not None), default=0)
    if counted - heard.held - heard.own > sum(one.missing for one in found):
        found.append(Missing(Lack.COUNT, counted - heard.held - heard.own, counted))
    if running := sum(e.state is State.OPEN for e in known):
        found.append(Missing(Lack.STEP, running))
    return tuple(found)


def _proven(heard: Heard, known: Sequence[Evidence]) -> bool:
    """By procedure steps, all of which have ended. What proved an earlier burst says nothing of objects after it."""
    steps = [e for e in known if e.kind is EvidenceKind.MPPS]
    listed = frozenset[str]().union(*(step.instances for step in steps))
    if not listed:
        return False
    proven_at = max(*(step.heard_at for step in steps), *(heard.here[uid] for uid in listed))
    return proven_at >= heard.burst_started_at


def _end(heard: Heard, known: Sequence[Evidence], policy: AssemblyPolicy) -> tuple[datetime, str, float]:
    """(when the wait ends if nothing more is heard, why, seconds)."""
    since = heard.quiet_since
    ends = [(since + timedelta(seconds=policy.quiet_seconds), "quiet", policy.quiet_seconds)]
    said = [(e, _said_at(e, heard)) for e in known if _covers(e, heard)]
    ends += [(max(at, since) + timedelta(seconds=policy.settle_seconds), "settled", policy.settle_seconds)
             for _, at in said]
    steps = [at for e, at in said if e.kind is EvidenceKind.MPPS]
    left = [at for e, at in said if e.kind in _CONNECTIONS]
    if steps and left:
        # A step that lists nothing proves nothing by itself; its sender having left as well does.
        ends.append((max(min(steps), min(left)), "finished", 0))
    return min(ends)


def _covers(evidence: Evidence, heard: Heard) -> bool:
    """Whether it says that the last object was the last: nothing came after it, or only what it lists."""
    if evidence.state is State.BROKEN or _said_at(evidence, heard) < heard.last_received_at:
        return False
    if evidence.kind is EvidenceKind.COUNT:
        return evidence.readings >= _AGREED and heard.held <= (evidence.count or 0) <= heard.held + heard.own
    return evidence.kind not in _CONNECTIONS or not any(
        e.state is State.BROKEN and e.heard_at >= heard.burst_started_at for e in heard.evidence)


def _said_at(evidence: Evidence, heard: Heard) -> datetime:
    """When what it says had come true."""
    return max([evidence.heard_at, *(heard.here[uid] for uid in evidence.instances if uid in heard.here)])


def _handover(completeness: Completeness, why: str, seconds: float, known: Sequence[Evidence],
              missing: tuple[Missing, ...] = ()) -> Handover:
    told = [_told(e) for e in sorted(known, key=lambda e: (e.heard_at, e.kind, e.identity))]
    return Handover(completeness, ({"kind": why, "seconds": seconds}, *told), missing)


def _told(evidence: Evidence) -> dict[str, Any]:
    return {"kind": evidence.kind.value, "state": evidence.state.value, "sender": evidence.sender,
            "identity": evidence.identity, "heard_at": evidence.heard_at.isoformat(),
            "instances": len(evidence.instances), "count": evidence.count, "readings": evidence.readings}
