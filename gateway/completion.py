"""What other systems say of a study besides sending its objects: which belong to it, and that no more will come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gateway.phrases import phrase


class EvidenceKind(StrEnum):
    """How it was said."""

    MPPS = "mpps"
    """Modality Performed Procedure Step (PS3.4 Annex F)."""
    IAN = "ian"
    """Instance Availability Notification (PS3.4 Annex R)."""
    COMMITMENT = "commitment"
    """Storage commitment was asked for (PS3.4 Annex J)."""
    COUNT = "count"
    """An archive's Number of Study Related Instances (PS3.4 C.3.4)."""
    RELEASE = "release"
    """The association that brought objects was released, or broke."""
    STOW = "stow"
    """A STOW-RS request that brought objects came to its end, or broke."""


class State(StrEnum):
    """How far it has come. Only a procedure step is ever open or discontinued; broken are connections, and a
    count that an archive was asked for and did not tell."""

    OPEN = "open"
    ENDED = "ended"
    DISCONTINUED = "discontinued"
    BROKEN = "broken"


Listed = Mapping[str, frozenset[str]]
"""Series Instance UID ("" where it is not told) → SOP Instance UIDs."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement about one study; what has the same kind and identity is the same statement, as it stands now.

    `identity`: SOP Instance UID of the step or notification, transaction UID, name of the archive or sender.
    `sender`: who says so (AE title or name). `heard_at`: aware UTC. `count` and `readings`: what an archive told, and
    how often in a row. `studies`: every study that the statement is about, where it is about several.
    """

    kind: EvidenceKind
    study_instance_uid: str
    identity: str
    sender: str
    heard_at: datetime
    state: State = State.ENDED
    listed: Listed = field(default_factory=dict)
    count: int | None = None
    readings: int = 1
    studies: tuple[str, ...] = ()

    @property
    def instances(self) -> frozenset[str]:
        """Every SOP Instance UID that is listed."""
        return frozenset[str]().union(*self.listed.values())


class Lack(StrEnum):
    """Why a study is known to be incomplete."""

    SERIES = "series"
    """Instances listed for a series are not here."""
    LISTED = "listed"
    """Instances listed without naming their series are not here."""
    COUNT = "count"
    """An archive holds more instances than are here."""
    STEP = "step"
    """A procedure step had not ended."""
    ARRIVING = "arriving"
    """Objects still arrived."""
    DELETED = "deleted"
    """Objects were deleted after their time of keeping."""


@dataclass(frozen=True, slots=True)
class Missing:
    """One lack: `missing` of `of` objects (of `series`)."""

    lack: Lack
    missing: int = 0
    of: int = 0
    series: str = ""

    def told(self, language: str) -> str:
        return phrase(language, f"missing.{self.lack.value}").format(missing=self.missing, of=self.of,
                                                                     series=self.series)


def missing_to_json(missing: Sequence[Missing]) -> list[dict[str, Any]]:
    return [{"lack": one.lack.value, "missing": one.missing, "of": one.of, "series": one.series} for one in missing]


def missing_from_json(form: Sequence[Mapping[str, Any]]) -> tuple[Missing, ...]:
    return tuple(Missing(Lack(one["lack"]), one["missing"], one["of"], one["series"]) for one in form)


def known_code(form: Mapping[str, Any]) -> str:
    """Kind and state of a statement, or why a study was taken as complete: the ending of its phrase's key."""
    return f"{form['kind']}.{form['state']}" if form.get("state") else str(form["kind"])


def told(form: Mapping[str, Any], language: str) -> str:
    """The sentence (without a full stop) of an item of `gateway.assembly.Handover.evidence`."""
    return phrase(language, f"known.{known_code(form)}").format(**form)


class EvidenceLog(Protocol):
    """Port: durable when a method returns; each wakes the assembly clock and raises Transient when nothing was kept."""

    def hear(self, said: Sequence[Evidence]) -> None:
        """The same statement again takes the place of what it said before."""
        ...

    def create(self, said: Sequence[Evidence]) -> bool:
        """Statements of one kind and identity, one for each study; False where that identity is known already."""
        ...

    def amend(self, kind: EvidenceKind, identity: str, change: Callable[[Evidence], Evidence]) -> bool:
        """Change every statement of that identity at once; False where there is none. What `change` raises is raised
        on, and nothing is changed."""
        ...

    def requested(self, transaction_uid: str, sender: str, named: Sequence[str], at: datetime) -> bool:
        """Storage commitment was asked for these SOP Instance UIDs: each study is told of its own, and of what is not
        here where there is only one. False where none is here. To be called once what was acknowledged is indexed."""
        ...

    def counted(self, study_instance_uid: str, archive: str, count: int, at: datetime) -> None:
        """An archive says that it holds so many instances of a study (C-FIND, Number of Study Related Instances), what
        was made of it here left out."""
        ...

    def uncounted(self, study_instance_uid: str, archive: str, at: datetime) -> None:
        """It was asked and does not say. That takes nothing back, and is kept once for what has come so far."""
        ...
