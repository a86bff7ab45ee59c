"""A complete study becomes runs: routed, selected from, identified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway.case import Completeness
from gateway.identity import case_identity, digest, run_identity
from gateway.pipeline import Pipeline, Selection
from gateway.repository import Plan, Plannable, PlannedRun
from gateway.routing import route_study
from gateway.settings import Route
from gateway.study import Order, Priority, Study

log = structlog.get_logger()
Fingerprint = Callable[[str], str]
"""Model name → a hash of its release and parameters as they stand in the model repository."""


class Planner:
    """Pure but for the fingerprints of models, which it is given."""

    def __init__(self, routes: Sequence[Route], pipelines: Mapping[str, Pipeline], destinations: Sequence[str],
                 fingerprint: Fingerprint, site: Sequence[str] = ()) -> None:
        """`site`: what else the documents depend on (language, time zone)."""
        self._site = tuple(site)
        self._routes, self._pipelines = routes, pipelines
        self._destinations, self._fingerprint = tuple(destinations), fingerprint

    def plan(self, found: Plannable, completeness: Completeness) -> Plan:
        chosen, verdicts = route_study(self._routes, found.study, found.sender)
        runs = tuple(self._run(found, route) for route in chosen)
        reasons = tuple(f"{v.route.name}: {v.reason}" for v in verdicts) if not runs else ()
        return Plan(found, completeness, runs, reasons)

    def _run(self, found: Plannable, route: Route) -> PlannedRun:
        pipeline = self._pipelines[route.pipeline]
        selection = _selected(pipeline, found.study)
        destinations = self._destinations if route.destinations is None else tuple(route.destinations)
        order = found.study.order
        priority = route.priority or (order.priority if order else Priority.ROUTINE)
        run_id = self.identity(found.study, pipeline, selection, destinations)
        return PlannedRun(run_id, pipeline.name, route.name, destinations, priority, route.priority is not None)

    def identity(self, study: Study, pipeline: Pipeline, selection: Selection, destinations: Sequence[str]) -> str:
        """See gateway.identity.run_identity. A selection of nothing stands for the whole study: new objects may change
        that."""
        read = selection.instances or study.instances
        return run_identity(
            case_identity(study.facility, study.study_instance_uid, pipeline.name),
            [(i.sop_instance_uid, i.digest) for i in read],
            [self._fingerprint(model) for model in pipeline.models],
            digest(pipeline.name, pipeline.version, sorted(destinations), *self._site),
            order_facts(study.order))


def _selected(pipeline: Pipeline, study: Study) -> Selection:
    try:
        return pipeline.select(study)
    except Exception as error:
        # The run is queued all the same: its reading meets the same fault and ends as `failed` on the worklist.
        log.exception("selection_crashed", pipeline=pipeline.name, error=type(error).__name__)
        return Selection(())


def order_facts(order: Order | None) -> list[str]:
    """What of an order the documents tell; its status and priority may change without a new reading."""
    if order is None:
        return []
    patient = order.patient
    return [patient.issuer, patient.patient_id, patient.name, patient.birth_date, patient.sex, order.accession_number,
            order.placer_order_number, order.filler_order_number, order.clinical_question,
            order.requested_procedure_code, order.requested_procedure_text, order.referring_physician]
