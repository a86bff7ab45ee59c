"""What the archivist remembers of studies and of their priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.assembly import Heard
from gateway.fetching import PriorState
from gateway.study import Study


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the earlier study that was asked for beside a study. Times are aware UTC."""

    study_id: int
    study_instance_uid: str
    state: PriorState
    asked_at: datetime
    wait_until: datetime
    prior_study_instance_uid: str = ""


class Receiving(Protocol):
    """Port: the studies that are being received."""

    def receiving(self) -> Sequence[tuple[int, Heard]]: ...


class ArchivistRows(Protocol):
    """Port: what is remembered. Every method raises Transient when the database does not answer."""

    def named(self, study_ids: Sequence[int]) -> Mapping[int, str]:
        """Study Instance UIDs, without studies that are here only as the prior of another."""
        ...

    def here(self, study_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of the study that are here, and of what was made of it."""
        ...

    def made(self, study_instance_uid: str) -> frozenset[str]:
        """Of what was made of it alone."""
        ...

    def sample(self, study_id: int) -> tuple[Study, str] | None:
        """The study as far as rules need it, and its sender; None before its first object, and where it is here only as
        a prior."""
        ...

    def prior_of(self, study_id: int) -> Prior | None: ...

    def open_priors(self) -> Sequence[Prior]: ...

    def want(self, study_id: int, wait_until: datetime, now: datetime) -> Prior | None:
        """A prior is wanted beside that study, once for ever."""
        ...

    def fetching(self, study_instance_uid: str, prior: str, archive: str, ae_title: str) -> bool:
        """The prior is known and about to be fetched; False where it is here already."""
        ...

    def ended(self, study_instance_uid: str, state: PriorState, error: str, now: datetime) -> None: ...
