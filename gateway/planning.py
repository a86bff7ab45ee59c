"""A complete study becomes runs: routed, selected from, identified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from gateway.assembly import Handover
from gateway.case import Completeness
from gateway.completion import Lack, Missing, missing_to_json
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

    def plan(self, found: Plannable, handover: Handover) -> Plan:
        if found.lacking:
            handover = replace(handover, completeness=Completeness.PARTIAL,
                               missing=handover.missing or (Missing(Lack.DELETED),))
        chosen, verdicts = route_study(self._routes, found.study, found.sender)
        runs = tuple(self._run(found, route, handover.missing) for route in chosen)
        reasons = tuple(f"{v.route.name}: {v.reason}" for v in verdicts) if not runs else ()
        return Plan(found, handover, runs, reasons)

    def _run(self, found: Plannable, route: Route, missing: Sequence[Missing]) -> PlannedRun:
        pipeline = self._pipelines[route.pipeline]
        selection = _selected(pipeline, found.study)
        destinations = self._destinations if route.destinations is None else tuple(route.destinations)
        order = found.study.order
        priority = route.priority or (order.priority if order else Priority.ROUTINE)
        run_id = self.identity(found.study, pipeline, selection, destinations, missing)
        return PlannedRun(run_id, pipeline.name, route.name, destinations, priority, route.priority is not None)

    def identity(self, study: Study, pipeline: Pipeline, selection: Selection, destinations: Sequence[str],
                 missing: Sequence[Missing] = ()) -> str:
        """See gateway.identity.run_identity. A selection of nothing stands for the whole study: new objects may change
        that. Documents tell what is missing: with something else missing, it is another run."""
        read = selection.instances or study.instances
        lack = [missing_to_json(missing)] if missing else []
        return run_identity(
            case_identity(study.facility, study.study_instance_uid, pipeline.name),
            [(i.sop_instance_uid, i.digest) for i in read],
            [self._fingerprint(model) for model in pipeline.models],
            digest(pipeline.name, pipeline.version, sorted(destinations), *self._site, *lack),
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
