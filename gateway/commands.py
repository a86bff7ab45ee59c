"""What people order: cancel, replay, retry, priority, read, predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from gateway.errors import Unusable
from gateway.explaining import study_alone
from gateway.intake import instance_of
from gateway.pipeline import Pipeline
from gateway.ports import Inference, Outcome, Stored, TagReader
from gateway.reading import Fulfilment, read
from gateway.repository import DeliveryTicket, Engine, Ticket
from gateway.result_json import to_json
from gateway.routing import route_study
from gateway.settings import Settings
from gateway.study import Instance, Priority, Sender, Study
from gateway.work import Work, now


class CommandStore(Protocol):
    """Port: the row changes behind the commands; each raises Unusable where there is no such thing."""

    def cancel(self, case_id: str) -> None: ...
    def reopen(self, case_id: str) -> Ticket | None: ...
    def replannable(self, case_id: str) -> int: ...
    def run_shown(self, case_id: str) -> str: ...
    def newest_run(self, case_id: str) -> str: ...
    def set_priority(self, case_id: str, priority: Priority) -> Ticket | None: ...
    def mark_read(self, case_id: str, now: datetime) -> None: ...
    def mark_unread(self, case_id: str) -> None: ...
    def revive_one(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]: ...
    def revive_dead(self, destination: str, now: datetime) -> Sequence[DeliveryTicket]: ...
    def revive_run(self, run_id: str, now: datetime) -> Sequence[DeliveryTicket]: ...


Scratch = Callable[[], AbstractContextManager[Callable[[bytes, Sequence[bytes]], str]]]
"""A place that is gone afterwards; within, (header, data set) → path of a file."""


class Predictor:
    """The objects of one study in, the result out, nothing kept."""

    def __init__(self, settings: Settings, read_tags: TagReader, pipelines: Mapping[str, Pipeline],
                 fulfilment: Fulfilment, inference: Inference, scratch: Scratch) -> None:
        self._settings, self._read_tags, self._pipelines = settings, read_tags, pipelines
        self._fulfilment, self._inference, self._scratch = fulfilment, inference, scratch

    def predict(self, objects: Iterable[tuple[bytes, Sequence[bytes]]], pipeline: str = "") -> Mapping[str, Any]:
        """The result's JSON form. Raises Unusable when no rule takes them (for `pipeline`, where one is named), or they
        are of more than one study."""
        with self._scratch() as put:
            found: dict[str, Instance] = {}
            for header, dataset in objects:
                tags = self._read_tags(header, dataset)
                stored = Stored(put(header, dataset), "", sum(len(piece) for piece in dataset), Outcome.STORED)
                instance = instance_of(tags, stored, Sender("upload", "predict"), now())
                found.setdefault(instance.sop_instance_uid, instance)
                if instance.study_instance_uid != next(iter(found.values())).study_instance_uid:
                    raise Unusable("The upload holds objects of more than one study; one study is read at a time.",
                                   element="file")
            if not found:
                raise Unusable("There is no object to read.", element="file")
            return self._predict(study_alone(self._settings.site.facility, list(found.values())), pipeline)

    def _predict(self, study: Study, wanted: str) -> Mapping[str, Any]:
        routes = [route for route in self._settings.routes if wanted in ("", route.pipeline)]
        if wanted and not routes:
            raise Unusable(f"no rule sends studies to {wanted}", element="pipeline")
        chosen, verdicts = route_study(routes, study, "predict")
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
        """A failed or cancelled run is read again; what was reported is delivered again, the same bytes under the
        same identities; a study that was never read is planned."""
        if run_id := self._reopened(case_id):
            return run_id
        shown = self._store.run_shown(case_id)
        if shown:
            self._send(self._store.revive_run(shown, now()))
            return shown
        self._work.plan(self._store.replannable(case_id))
        return self._store.run_shown(case_id)

    def rerun(self, case_id: str) -> str:
        """A run of its own where model, rules, objects or order are other than in the last one."""
        before = self._store.newest_run(case_id)
        self._work.plan(self._store.replannable(case_id))
        after = self._store.newest_run(case_id)
        if after != before:
            return after
        if run_id := self._reopened(case_id):
            return run_id
        raise Unusable("There is nothing newer to read it with: models, rules, objects and order are as they were. "
                       "Replay delivers the result again.", element="state")

    def _reopened(self, case_id: str) -> str:
        ticket = self._store.reopen(case_id)
        if ticket is None:
            return ""
        self._engine.enqueue_run(ticket)
        return ticket.run_id

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

    def mark_unread(self, case_id: str) -> None:
        self._store.mark_unread(case_id)

    def predict_study(self, objects: Iterable[tuple[bytes, Sequence[bytes]]], pipeline: str = "") -> Mapping[str, Any]:
        return self._predictor.predict(objects, pipeline)

    def _send(self, tickets: Sequence[DeliveryTicket]) -> None:
        for ticket in tickets:
            self._engine.enqueue_delivery(ticket)
