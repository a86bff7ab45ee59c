"""What archives are asked: how much of a study they hold, what is missing here, an earlier study. Pure decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gateway.assembly import AGREED, Heard, lacking, trusted
from gateway.completion import EvidenceKind, Lack
from gateway.settings import AssemblyPolicy, AssemblySettings
from gateway.study import Study

QUIET = timedelta(seconds=0.5)
"""While objects stream in, nobody is asked how many there are."""
BETWEEN_READINGS = timedelta(seconds=1)
UNSETTLED = timedelta(seconds=5)
"""Between questions while the archive's number is not that of the objects here, or it does not know the study."""
BETWEEN_FETCHES = timedelta(seconds=30)
MOST_FETCHES = 5
"""Of one study, before the wait runs out by itself."""


@dataclass(frozen=True, slots=True)
class ArchivedInstance:
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    """Empty where the archive does not tell."""


@dataclass(frozen=True, slots=True)
class ArchivedStudy:
    """A study as an archive describes it. `date` YYYYMMDD, `time` HHMMSS, each empty where unknown."""

    study_instance_uid: str
    patient_id: str
    issuer: str = ""
    birth_date: str = ""
    modalities: tuple[str, ...] = ()
    date: str = ""
    time: str = ""

    @property
    def moment(self) -> str:
        return f"{self.date}{self.time.partition('.')[0]:0<6}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of fetching: how many objects came, how many the archive could not send, why it ended early."""

    completed: int
    failed: int = 0
    why: str = ""
    told: bool = False
    """The numbers are the archive's word (C-MOVE): it sends over associations of its own, perhaps to somewhere else."""

    def promised(self, wanted: int) -> int:
        """How many of the wanted objects should be here by now. A final response may leave the numbers out."""
        return min(wanted, self.completed) if self.why else max(0, wanted - self.failed)


class Archive(Protocol):
    """Port: a PACS that can be asked. Everything is bounded in time and raises Transient or Permanent."""

    name: str
    ae_title: str
    retrieves: bool
    """Whether anything may be fetched from it."""

    def count(self, study_instance_uid: str) -> int | None:
        """Instances of a study; None where the archive does not know the study."""
        ...

    def instances(self, study_instance_uid: str) -> tuple[ArchivedInstance, ...]: ...

    def studies_of(self, patient_id: str) -> tuple[ArchivedStudy, ...]: ...

    def fetch(self, study_instance_uid: str, wanted: Sequence[ArchivedInstance],
              held: Sequence[ArchivedInstance]) -> Fetched:
        """Have `wanted` of what the archive holds (`held`) sent here, the ordinary way of objects into the store."""
        ...


# ---------------------------------------------------------------- how many, and what is missing


@dataclass(frozen=True, slots=True)
class Tried:
    """What this process has done about a study so far."""

    counted_at: datetime | None = None
    fetched_at: datetime | None = None
    fetches: int = 0


def should_count(heard: Heard, tried: Tried, now: datetime, policy: AssemblyPolicy) -> bool:
    """Whether the archive is to be asked now: after the last object, until its number has been told twice alike and
    nothing is missing."""
    if not policy.count_from or EvidenceKind.COUNT not in policy.trust or now < heard.last_received_at + QUIET:
        return False
    readings = [e for e in heard.evidence if e.kind is EvidenceKind.COUNT and e.identity == policy.count_from
                and e.heard_at >= heard.last_received_at and e.count is not None]
    if not readings:
        return _waited(tried.counted_at if tried.counted_at and tried.counted_at >= heard.last_received_at else None,
                       UNSETTLED, now)
    settled = readings[0].count == heard.held
    if settled and readings[0].readings >= AGREED:
        return False
    return _waited(tried.counted_at or readings[0].heard_at, BETWEEN_READINGS if settled else UNSETTLED, now)


def should_fetch(heard: Heard, tried: Tried, now: datetime, settings: AssemblySettings) -> bool:
    """Whether what is missing is to be fetched now: something is known to be missing, nothing has come for the settle
    time, and no procedure step is still at work."""
    policy = settings.of_sender(heard.sender)
    lacks = {one.lack for one in lacking(heard, trusted(heard.evidence, policy, settings))}
    if not policy.count_from or not lacks - {Lack.STEP} or Lack.STEP in lacks or tried.fetches >= MOST_FETCHES:
        return False
    quiet = timedelta(seconds=policy.settle_seconds)
    return now >= heard.last_received_at + quiet and _waited(tried.fetched_at, BETWEEN_FETCHES, now)


def _waited(since: datetime | None, pause: timedelta, now: datetime) -> bool:
    return since is None or now >= since + pause


def not_made_here(count: int, held: Iterable[ArchivedInstance], made: Collection[str]) -> int:
    """How many of `count` objects that an archive says it holds are not the gateway's own (`made`), of which it may
    have any; `held`: what it lists, perhaps a little later, or not to its end."""
    listed = {one.sop_instance_uid for one in held}
    own = len(listed.intersection(made))
    return max(len(listed), count) - own


def missing_here(held: Iterable[ArchivedInstance], here: Iterable[str]) -> list[ArchivedInstance]:
    known = set(here)
    return [one for one in held if one.sop_instance_uid not in known]


def shortfall(wanted: int, came: int, fetched: Fetched) -> str:
    """Why not all of what was wanted is here, in words that say what to do; empty where all is."""
    if came >= wanted:
        return ""
    words = f"{came} of {wanted} objects came"
    if fetched.told and fetched.promised(wanted) > came:
        sent = "sent them" if fetched.completed >= wanted else f"sent {fetched.completed}"
        words += (f": the archive says it {sent if fetched.completed > came else 'is done'}; "
                  "see where its entry for our AE title points")
    elif fetched.failed and not fetched.why:
        words += f": {fetched.failed} could not be sent or stored"
    return f"{words}. {fetched.why}".strip()


@dataclass(frozen=True, slots=True)
class Level:
    """One request for retrieval: a study, one of its series, or some instances of a series (PS3.4 C.4)."""

    series_instance_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()


_MOST_NAMED = 100


def requests(wanted: Sequence[ArchivedInstance], held: Sequence[ArchivedInstance]) -> list[Level]:
    """The fewest requests that bring just what is wanted."""
    if len(wanted) == len(held):
        return [Level()]
    found: list[Level] = []
    for series in dict.fromkeys(one.series_instance_uid for one in wanted):
        uids = [one.sop_instance_uid for one in wanted if one.series_instance_uid == series]
        if len(uids) == sum(one.series_instance_uid == series for one in held):
            found.append(Level(series))
        else:
            found += [Level(series, tuple(uids[start:start + _MOST_NAMED]))
                      for start in range(0, len(uids), _MOST_NAMED)]
    return found


# ---------------------------------------------------------------- the prior


class PriorState(StrEnum):
    """What became of the earlier study that a route asks for."""

    WANTED = "wanted"
    FETCHING = "fetching"
    FETCHED = "fetched"
    HERE = "here"
    """It was received before: nothing had to be fetched."""
    NONE = "none"
    """No archive knows an earlier study of this patient and modality."""
    FAILED = "failed"


OPEN_STATES = (PriorState.WANTED, PriorState.FETCHING)


@dataclass(frozen=True, slots=True)
class PriorOf:
    """The study whose prior is wanted."""

    study_instance_uid: str
    patient_id: str
    issuer: str = ""
    birth_date: str = ""
    modality: str = ""
    date: str = ""
    time: str = ""

    @classmethod
    def of_study(cls, study: Study) -> PriorOf:
        tags, patient = study.tags, study.patient
        return cls(study.study_instance_uid, patient.patient_id, patient.issuer, patient.birth_date,
                   study.series[0].modality, str(tags.get("StudyDate") or ""), str(tags.get("StudyTime") or ""))

    @property
    def askable(self) -> bool:
        """Whether the patient can be named: wildcards would ask for others as well (PS3.4 C.2.2.2.4)."""
        return bool(self.patient_id.strip()) and not set(self.patient_id) & set("*?\\")


def newest_prior(study: PriorOf, candidates: Iterable[ArchivedStudy]) -> ArchivedStudy | None:
    """The newest study of the same patient and modality before this one.

    A candidate of another patient, or whose date is unknown, is none. Where the study itself has no date, the newest
    other study is taken.
    """
    before = f"{study.date}{study.time.partition('.')[0]:0<6}" if study.date else "99999999999999"
    found = [one for one in candidates if one.study_instance_uid != study.study_instance_uid and one.date
             and one.moment < before and study.modality in one.modalities and _same_patient(study, one)]
    return max(found, key=lambda one: (one.moment, one.study_instance_uid), default=None)


def _same_patient(study: PriorOf, candidate: ArchivedStudy) -> bool:
    """The same id, and nothing that contradicts it: issuer and birth date count where both sides know them."""
    def agree(left: str, right: str) -> bool:
        return not left or not right or left == right

    return (candidate.patient_id.strip() == study.patient_id.strip() and agree(study.issuer, candidate.issuer)
            and agree(study.birth_date, candidate.birth_date))
