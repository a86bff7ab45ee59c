"""Is the study complete? A pure function of what has been heard of it and the clock.

- Every known procedure step ended and everything listed here: hand over at once, `complete`.
- A step that is open, instances listed or counted that are not here, expected evidence that has not come: wait, until
  `max_wait_seconds` after the first object; then hand over as `partial`.
- Otherwise `quiet_seconds` after the last object, or `settle_seconds` after somebody said that it was the last; where
  an archive is asked how many there are, not before it has told, as long as that takes no longer than `ANSWER_SECONDS`.
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
AGREED = 2
"""Readings of an archive's count that have to agree."""
ANSWER_SECONDS = 10
"""How long a study waits for them after its last object."""
_RETURN_SECONDS = 60
"""How long senders that were interrupted by a start have to come back, whatever time is over."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What has been heard of one study. Times are aware UTC.

    `burst_started_at`: when the first object came that no reading has seen. `here`: SOP Instance UID → when received,
    told where evidence speaks of instances, with what the gateway made of the study, which may be listed as well.
    `held`: instances of the study that are here. `sender`: who sends the objects. `open_since`: nothing could be heard
    before; an interrupted sender has its time to return. `revision`: of the study as it was looked at.
    """

    burst_started_at: datetime
    last_received_at: datetime
    evidence: tuple[Evidence, ...] = ()
    here: Mapping[str, datetime] = field(default_factory=dict)
    held: int = 0
    sender: str = ""
    open_since: datetime | None = None
    revision: int = 0

    def since(self, open_since: datetime | None) -> Heard:
        return replace(self, open_since=open_since)

    @property
    def quiet_since(self) -> datetime:
        return max(self.last_received_at, self.open_since or self.last_received_at)

    def waited(self, seconds: float) -> datetime:
        """When it has waited for so long."""
        at = self.burst_started_at + timedelta(seconds=seconds)
        return max(at, self.open_since + timedelta(seconds=min(seconds, _RETURN_SECONDS))) if self.open_since else at


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
    blocked = bool(missing) or any(not any(e.kind is kind and not _is_unanswered(e) for e in known)
                                   for kind in policy.expect)
    if not blocked and _proven(heard, known):
        return _handover(Completeness.COMPLETE, "proven", 0, known)
    cap_at = heard.waited(max(policy.max_wait_seconds, policy.quiet_seconds))
    end_at, why, seconds = _end(heard, known, policy)
    if awaits_count(heard, known, policy):
        end_at = max(end_at, heard.quiet_since + timedelta(seconds=ANSWER_SECONDS))
        known = _without_answer(heard, known, policy.count_from, now)
    if not blocked and now >= end_at:
        agreed = any(e.kind is EvidenceKind.COUNT and _covers(e, heard) for e in known)
        return _handover(Completeness.COMPLETE if agreed else Completeness.ASSUMED, why, seconds, known)
    if now >= cap_at:
        if now < heard.quiet_since + timedelta(seconds=policy.quiet_seconds):
            missing += (Missing(Lack.ARRIVING),)
        whole = Completeness.PARTIAL if missing else Completeness.ASSUMED
        return _handover(whole, "waited", policy.max_wait_seconds, known, missing)
    return Wait(cap_at if blocked else min(end_at, cap_at), missing)


def so_far(heard: Heard, settings: AssemblySettings) -> tuple[tuple[Mapping[str, Any], ...], tuple[Missing, ...]]:
    """What is known of a study that waits: its evidence as in `Handover`, and what is known to be missing."""
    known = trusted(heard.evidence, settings.of_sender(heard.sender), settings)
    return _in_order(known), lacking(heard, known)


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
    if counted - heard.held > sum(one.missing for one in found):
        found.append(Missing(Lack.COUNT, counted - heard.held, counted))
    if running := sum(e.state is State.OPEN for e in known):
        found.append(Missing(Lack.STEP, running))
    return tuple(found)


def awaits_count(heard: Heard, known: Sequence[Evidence], policy: AssemblyPolicy) -> bool:
    """Whether an archive is to be asked, or once more, how many objects there are: it has not told since the last came,
    or told once what is here."""
    if not policy.count_from or EvidenceKind.COUNT not in policy.trust:
        return False
    said = [e for e in known if e.kind is EvidenceKind.COUNT and e.identity == policy.count_from
            and e.heard_at >= heard.last_received_at]
    return not said or (said[0].count == heard.held and said[0].readings < AGREED)


def _without_answer(heard: Heard, known: tuple[Evidence, ...], archive: str, now: datetime) -> tuple[Evidence, ...]:
    """What is told where nobody waits for the archive any more: a number from before the last object is none."""
    told = [e for e in known if e.kind is EvidenceKind.COUNT and e.identity == archive]
    if any(e.heard_at >= heard.last_received_at for e in told):
        return known
    return (*(e for e in known if e not in told), unanswered(archive, now))


def unanswered(archive: str, at: datetime, study_instance_uid: str = "") -> Evidence:
    """That an archive has not told how many objects of a study it holds."""
    return Evidence(EvidenceKind.COUNT, study_instance_uid, archive, archive, at, State.BROKEN, readings=0)


def _is_unanswered(evidence: Evidence) -> bool:
    return evidence.kind is EvidenceKind.COUNT and evidence.count is None


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
        return evidence.readings >= AGREED and evidence.count == heard.held
    return evidence.kind not in _CONNECTIONS or not any(
        e.kind in _CONNECTIONS and e.state is State.BROKEN and e.heard_at >= heard.burst_started_at
        for e in heard.evidence)


def _said_at(evidence: Evidence, heard: Heard) -> datetime:
    """When what it says had come true."""
    return max([evidence.heard_at, *(heard.here[uid] for uid in evidence.instances if uid in heard.here)])


def _handover(completeness: Completeness, why: str, seconds: float, known: Sequence[Evidence],
              missing: tuple[Missing, ...] = ()) -> Handover:
    return Handover(completeness, ({"kind": why, "seconds": seconds}, *_in_order(known)), missing)


def _in_order(known: Sequence[Evidence]) -> tuple[Mapping[str, Any], ...]:
    return tuple(_told(e) for e in sorted(known, key=lambda e: (e.heard_at, e.kind, e.identity)))


def _told(evidence: Evidence) -> dict[str, Any]:
    return {"kind": evidence.kind.value, "state": evidence.state.value, "sender": evidence.sender,
            "identity": evidence.identity, "heard_at": evidence.heard_at.isoformat(),
            "instances": len(evidence.instances), "count": evidence.count, "readings": evidence.readings}
