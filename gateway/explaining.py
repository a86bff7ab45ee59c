"""Which rule takes a study and why the others don't: for `check --explain` and the page's rule tester."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.pipeline import Pipeline
from gateway.routing import route_study
from gateway.settings import Route
from gateway.study import Instance, Patient, Series, Study


@dataclass(frozen=True, slots=True)
class Explained:
    """`rules`: (rule, taken, reason) in the order they are tried. `note`: what would be read, or why nothing."""

    rules: tuple[tuple[str, bool, str], ...]
    note: str


def explain(study: Study, routes: Sequence[Route], pipelines: Mapping[str, Pipeline], sender: str = "") -> Explained:
    """No patient data in reasons or note."""
    chosen, verdicts = route_study(routes, study, sender)
    notes = [_note(pipelines[route.pipeline], study) for route in chosen if route.pipeline in pipelines]
    rules = tuple((v.route.name, v.taken, v.reason if not v.taken or v.route in chosen
                   else f"{v.reason}, but an earlier rule leads to the same pipeline") for v in verdicts)
    return Explained(rules, "; ".join(notes) or "no rule takes it: the study would be shown as unsupported")


def _note(pipeline: Pipeline, study: Study) -> str:
    selection = pipeline.select(study)
    if not selection.instances:
        return f"{pipeline.name} reads nothing of it: " + "; ".join(p.text for p in selection.problems)
    if selection.problems:
        return f"{pipeline.name} takes it and ends undetermined: " + " ".join(p.text for p in selection.problems)
    what = f"{pipeline.name} reads {len(selection.instances)} of {len(study.instances)} objects"
    return f"{what} ({selection.note})" if selection.note else what


def study_alone(facility: str, instances: Sequence[Instance]) -> Study:
    """A study of given instances, without an order."""
    series: dict[str, list[Instance]] = {}
    for instance in instances:
        series.setdefault(instance.series_instance_uid, []).append(instance)
    return Study(facility, instances[0].study_instance_uid, Patient(str(instances[0].tags.get("PatientID") or "")),
                 tuple(Series(uid, str(some[0].tags.get("Modality", "")), tuple(some)) for uid, some in series.items()))
