"""What people order: cancel, replay, retry, priority, read, predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from gateway.case import Completeness
from gateway.errors import Unusable
from gateway.intake import instance_of
from gateway.pipeline import Pipeline
from gateway.ports import Inference, Outcome, Stored, TagReader
from gateway.reading import Fulfilment, read
from gateway.repository import DeliveryTicket, Engine, Ticket
from gateway.result_json import to_json
from gateway.routing import route_study
from gateway.settings import Settings
from gateway.study import Patient, Priority, Sender, Series, Study
from gateway.work import Work, now


class CommandStore(Protocol):
    """Port: the row changes behind the commands; each raises Unusable where there is no such thing."""

    def cancel(self, case_id: str) -> None: ...
    def reopen(self, case_id: str) -> Ticket | None: ...
    def replannable(self, case_id: str) -> int: ...
    def run_shown(self, case_id: str) -> str: ...
    def set_priority(self, case_id: str, priority: Priority) -> Ticket | None: ...
    def mark_read(self, case_id: str, now: datetime) -> None: ...
    def revive_one(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]: ...
    def revive_dead(self, destination: str, now: datetime) -> Sequence[DeliveryTicket]: ...
    def revive_run(self, run_id: str, now: datetime) -> Sequence[DeliveryTicket]: ...


Scratch = Callable[[bytes, Sequence[bytes]], AbstractContextManager[str]]
"""Writes one object to a file that is gone afterwards."""


class Predictor:
    """One object in, the result out, nothing kept."""

    def __init__(self, settings: Settings, read_tags: TagReader, pipelines: Mapping[str, Pipeline],
                 fulfilment: Fulfilment, inference: Inference, scratch: Scratch) -> None:
        self._settings, self._read_tags, self._pipelines = settings, read_tags, pipelines
        self._fulfilment, self._inference, self._scratch = fulfilment, inference, scratch

    def predict(self, header: bytes, dataset: Sequence[bytes]) -> Mapping[str, Any]:
        """The result's JSON form. Raises Unusable when no rule takes the object."""
        tags = self._read_tags(header, dataset)
        with self._scratch(header, dataset) as path:
            stored = Stored(path, "", sum(len(piece) for piece in dataset), Outcome.STORED)
            instance = instance_of(tags, stored, Sender("upload", "predict"), now())
            series = Series(instance.series_instance_uid, str(tags.get("Modality", "")), (instance,))
            patient = Patient(str(tags.get("PatientID") or ""))
            study = Study(self._settings.site.facility, instance.study_instance_uid, patient, (series,))
            return self._predict(study)

    def _predict(self, study: Study) -> Mapping[str, Any]:
        chosen, verdicts = route_study(self._settings.routes, study, "predict")
        if not chosen:
            reasons = "; ".join(f"{v.route.name}: {v.reason}" for v in verdicts)
            raise Unusable(f"no rule takes this object ({reasons or 'there are no rules'})", element="file")
        pipeline = self._pipelines[chosen[0].pipeline]
        analysis = read(pipeline, study, pipeline.select(study), self._fulfilment, self._inference)
        return {"pipeline": pipeline.name, **to_json(analysis.result)}


class GatewayCommands:
    """Implements gateway.ports.Commands."""

    def __init__(self, store: CommandStore, work: Work, engine: Engine, predictor: Predictor) -> None:
        self._store, self._work, self._engine, self._predictor = store, work, engine, predictor

    def cancel(self, case_id: str) -> None:
        self._store.cancel(case_id)

    def replay(self, case_id: str) -> str:
        """A failed or cancelled run is read again; otherwise the study is planned anew, and what was reported is
        delivered again: the same bytes under the same identities."""
        ticket = self._store.reopen(case_id)
        if ticket is not None:
            self._engine.enqueue_run(ticket)
            return ticket.run_id
        before = self._store.run_shown(case_id)
        self._work.plan(self._store.replannable(case_id), Completeness.ASSUMED)
        after = self._store.run_shown(case_id)
        if before and before == after:
            self._send(self._store.revive_run(before, now()))
        return after

    def retry_delivery(self, delivery_id: int) -> None:
        self._send(self._store.revive_one(delivery_id, now()))

    def retry_dead(self, destination: str = "") -> int:
        tickets = self._store.revive_dead(destination, now())
        self._send(tickets)
        return len(tickets)

    def set_priority(self, case_id: str, priority: Priority) -> None:
        ticket = self._store.set_priority(case_id, priority)
        if ticket is not None:
            self._engine.enqueue_run(ticket)

    def mark_read(self, case_id: str) -> None:
        self._store.mark_read(case_id, now())

    def predict(self, header: bytes, dataset: Sequence[bytes]) -> Mapping[str, Any]:
        return self._predictor.predict(header, dataset)

    def _send(self, tickets: Sequence[DeliveryTicket]) -> None:
        for ticket in tickets:
            self._engine.enqueue_delivery(ticket)
