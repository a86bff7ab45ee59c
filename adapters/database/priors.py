"""Earlier studies fetched beside a new one, as rows; and which studies are here as nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import create_case
from adapters.database.connection import upsert, writing
from adapters.database.orders import link_order, order_by_id
from adapters.database.studies import load_study, newest_instance
from adapters.database.tables import cases, documents, instances, priors, studies
from gateway.archivist_rows import Prior
from gateway.case import CaseState
from gateway.delivery import Kind
from gateway.fetching import OPEN_STATES, PriorState
from gateway.study import Study

_AFTERMATH = timedelta(seconds=30)
_OWN = (Kind.SR.value, Kind.SC.value, Kind.SEG.value)
_OPEN = [state.value for state in OPEN_STATES]
_PRIORS = sa.select(priors, studies.c.id.label("study_id")).join(studies, sa.and_(
    studies.c.facility == priors.c.facility, studies.c.study_instance_uid == priors.c.study_instance_uid))


class DatabasePriors:
    """Implements gateway.archivist_rows.ArchivistRows."""

    def __init__(self, engine: sa.Engine, facility: str) -> None:
        self._engine, self._facility = engine, facility

    # ------------------------------------------------------------ studies that are being received

    def named(self, study_ids: Sequence[int]) -> Mapping[int, str]:
        with self._engine.connect() as connection:
            return {row.id: row.study_instance_uid for row in connection.execute(sa.select(
                studies.c.id, studies.c.study_instance_uid).where(
                studies.c.id.in_(study_ids), studies.c.prior.is_(False)))}

    def here(self, study_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of the study that are here, and of what was made of it."""
        with self._engine.connect() as connection:
            received = connection.execute(sa.select(instances.c.sop_instance_uid).join(
                studies, studies.c.id == instances.c.study_id).where(*self._of_study(study_instance_uid)))
            here = frozenset(received.scalars())
        return here | self.made(study_instance_uid)

    def made(self, study_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of what was made of the study."""
        with self._engine.connect() as connection:
            return frozenset(connection.execute(sa.select(documents.c.identity).join(
                cases, cases.c.case_id == documents.c.case_id).join(studies, studies.c.id == cases.c.study_id).where(
                documents.c.kind.in_(_OWN), *self._of_study(study_instance_uid))).scalars())

    def _of_study(self, study_instance_uid: str) -> tuple[sa.ColumnElement[bool], ...]:
        return studies.c.facility == self._facility, studies.c.study_instance_uid == study_instance_uid

    def sample(self, study_id: int) -> tuple[Study, str] | None:
        """The study with the first instance of each series and its order, and its sender: enough for the rules."""
        first = sa.select(sa.func.min(instances.c.id)).where(
            instances.c.study_id == study_id, instances.c.conflict.is_(False)).group_by(
            instances.c.series_instance_uid)
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).first()
            if row is None or row.prior or not newest_instance(connection, study_id):
                return None
            study = load_study(connection, study_id, order_by_id(connection, row.order_id), only=instances.c.id.in_(
                first))
        return study, row.sender.partition(":")[2]

    # ------------------------------------------------------------ their priors

    def prior_of(self, study_id: int) -> Prior | None:
        with self._engine.connect() as connection:
            row = connection.execute(_PRIORS.where(studies.c.id == study_id)).first()
        return None if row is None else _prior(row)

    def open_priors(self) -> Sequence[Prior]:
        with self._engine.connect() as connection:
            return [_prior(row) for row in connection.execute(_PRIORS.where(
                studies.c.facility == self._facility, priors.c.state.in_(_OPEN)).order_by(priors.c.id))]

    def want(self, study_id: int, wait_until: datetime, now: datetime) -> Prior | None:
        with writing(self._engine) as connection:
            uid = connection.execute(sa.select(studies.c.study_instance_uid).where(
                studies.c.id == study_id)).scalar_one()
            connection.execute(upsert(self._engine, priors).values(
                facility=self._facility, study_instance_uid=uid, state=PriorState.WANTED.value, asked_at=now,
                wait_until=wait_until).on_conflict_do_nothing())
        return self.prior_of(study_id)

    def fetching(self, study_instance_uid: str, prior: str, archive: str, ae_title: str) -> bool:
        """The prior is known and about to be fetched; False where it is here already."""
        with writing(self._engine) as connection:
            there = connection.execute(sa.select(studies.c.id).where(
                studies.c.facility == self._facility, studies.c.study_instance_uid == prior,
                studies.c.instance_count > 0, studies.c.prior.is_(False))).first() is not None
            state = PriorState.HERE if there else PriorState.FETCHING
            self._set(connection, study_instance_uid, state=state.value, prior_study_instance_uid=prior,
                      archive=archive, archive_ae_title=ae_title)
        return not there

    def ended(self, study_instance_uid: str, state: PriorState, error: str, now: datetime) -> None:
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(priors.c.prior_study_instance_uid).where(
                *self._of(study_instance_uid))).one()
            objects = connection.execute(sa.select(sa.func.count()).select_from(instances).join(
                studies, studies.c.id == instances.c.study_id).where(
                studies.c.facility == self._facility,
                studies.c.study_instance_uid == row.prior_study_instance_uid)).scalar_one()
            self._set(connection, study_instance_uid, state=state.value, error=error, finished_at=now,
                      objects=objects)

    def sent(self, sender: str, study_instance_uids: Iterable[str], now: datetime) -> bool:
        """Somebody has sent these studies: one that was here as a prior only is a study to be read from now on, even
        where no object of it was new. Whether there was one."""
        promoted = False
        found = sa.select(studies).where(studies.c.facility == self._facility, studies.c.prior,
                                         studies.c.study_instance_uid.in_(list(study_instance_uids)))
        with self._engine.connect() as connection:
            if connection.execute(found).first() is None:
                return False
        with writing(self._engine) as connection:
            for row in connection.execute(found.with_for_update()).all():
                if not comes_as_prior(connection, self._facility, row.study_instance_uid, {sender}, now - _AFTERMATH):
                    promote(connection, row, now)
                    promoted = True
        return promoted

    def _of(self, study_instance_uid: str) -> tuple[sa.ColumnElement[bool], ...]:
        return priors.c.facility == self._facility, priors.c.study_instance_uid == study_instance_uid

    def _set(self, connection: sa.Connection, study_instance_uid: str, **values: Any) -> None:
        connection.execute(sa.update(priors).where(*self._of(study_instance_uid)).values(**values))


def comes_as_prior(connection: sa.Connection, facility: str, study_instance_uid: str, senders: Iterable[str],
                   since: datetime | None = None) -> bool:
    """Whether objects of that study from these senders are what is being fetched as somebody's prior, or (`since`) was
    until lately: an archive may end its association only after that of the C-MOVE."""
    fetched = priors.c.state == PriorState.FETCHING.value
    if since is not None:
        fetched |= priors.c.finished_at >= since
    expected = set(connection.execute(sa.select(priors.c.archive_ae_title).where(
        priors.c.facility == facility, priors.c.prior_study_instance_uid == study_instance_uid, fetched)).scalars())
    return bool(expected) and set(senders) <= {f"dicom:{title}" for title in expected}


def promote(connection: sa.Connection, study: Any, now: datetime) -> None:
    """A study that was fetched as a prior is read like any other from now on. `study`: its row."""
    connection.execute(sa.update(studies).where(studies.c.id == study.id).values(
        prior=False, receiving=True, burst_started_at=now, last_received_at=now, revision=studies.c.revision + 1))
    create_case(connection, study.id, study.facility, study.study_instance_uid, "", received_at=now,
                state=CaseState.RECEIVING)
    link_order(connection, study.id)


def prior_of_case(connection: sa.Connection, facility: str, study_instance_uid: str) -> dict[str, Any] | None:
    """{state, study_instance_uid, archive, objects, error} of the prior that was asked for; None where none was."""
    row = connection.execute(sa.select(priors).where(
        priors.c.facility == facility, priors.c.study_instance_uid == study_instance_uid)).first()
    return None if row is None else {
        "state": row.state, "study_instance_uid": row.prior_study_instance_uid, "archive": row.archive,
        "objects": row.objects, "error": row.error}


def _prior(row: Any) -> Prior:
    return Prior(row.study_id, row.study_instance_uid, PriorState(row.state), row.asked_at, row.wait_until,
                 row.prior_study_instance_uid)
