"""The pipeline: which ECG of a study is read, and how."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from gateway.evidence_map import EvidenceTrace
from gateway.pipeline import Analysis, Array, Ecg, Selection, Steps, infer
from gateway.result import ModelRelease, Problem, Provenance, Result
from gateway.study import Study
from pipelines.ecg.checking import check
from pipelines.ecg.evidence import trace_of
from pipelines.ecg.leads import LEADS
from pipelines.ecg.opening import NO_ECG, opened, resting_ecg
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.sheet import sheet_of
from pipelines.ecg.telling import INVALID_OUTPUT, Scores, thresholds_of, undetermined
from pipelines.ecg_mi import decision
from pipelines.ecg_mi.labels import INFARCTION_MODEL, MI, SITE_MODEL, SITES
from pipelines.ecg_mi.sections import INFARCTION, SITE, Sections, sections_of
from pipelines.ecg_mi.signs import signs_of
from pipelines.ecg_mi.words import WORDS

SHORTEST = 2.5
"""Seconds: three beats, and a few windows of 1.6."""
_OUTPUTS = ("probabilities", "evidence")


class EcgMi:
    """Reader of 12-lead ECGs of any length for infarction, and in a second stage for its site."""

    name = "ecg_mi"
    version = "1.1.0"
    title = "12-lead ECG: infarction and its site"
    models: tuple[str, ...] = (INFARCTION_MODEL, SITE_MODEL)
    procedure = ("29303009", "SCT", "Electrocardiographic procedure")
    modalities: tuple[str, ...] = ("ECG",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """See `pipelines.ecg.opening.resting_ecg`."""
        return resting_ecg(study)

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, prepare, ask both stages, decide; what is not fit to be read is undetermined, and why."""
        provenance = Provenance(self.name, self.version, releases)
        return (yield from opened(selection, NO_ECG, partial(_not_read, provenance=provenance),
                                  partial(_read, provenance=provenance)))


def sites_of(release: ModelRelease) -> tuple[str, ...]:
    """What the second stage was trained for."""
    told = release.parameters.get("labels", "").split(",")
    return tuple(label.name for label in SITES if label.name in told)


def pooled(probabilities: Array) -> tuple[float, ...]:
    """(sections, outputs) → the mean over the sections: an infarction stays."""
    return tuple(float(value) for value in np.clip(probabilities.astype(np.float64), 0, 1).mean(axis=0))


def _read(ecg: Ecg, provenance: Provenance) -> Steps[Analysis]:
    """What a loaded ECG says."""
    ordered, missing = in_order(ecg.signal, ecg.leads)
    picture = sheet_of(ordered, ecg.rate, missing)
    checked = check(ordered, ecg.rate, missing, shortest=SHORTEST)
    if checked.problems:
        return Analysis(_not_read((*ecg.problems, *checked.problems), (ecg.sop_instance_uid,), provenance), picture)
    sections = sections_of(checked.filled, ecg.rate, checked.beats)
    first = yield from infer(INFARCTION_MODEL, sections.given(INFARCTION), _OUTPUTS)
    second = yield from infer(SITE_MODEL, sections.given(SITE), _OUTPUTS)
    if not all(np.isfinite(given).all() for given in (*first, *second)):
        return Analysis(_not_read((*ecg.problems, INVALID_OUTPUT), (ecg.sop_instance_uid,), provenance), picture)
    scores, sites = _scores(first[0], second[0], provenance)
    signs = None if checked.beats is None else signs_of(checked.beats)
    result = decision.decide(scores, sites, ecg, checked.waves, signs, provenance)
    return Analysis(result, picture, _evidence(first[1], second[1], sections, sites, result))


def _scores(first: Array, second: Array, provenance: Provenance) -> tuple[Scores, tuple[str, ...]]:
    infarction, site = provenance.models
    sites = sites_of(site)
    told = dict(zip((MI.name, *sites), (*pooled(first), *pooled(second)), strict=True))
    levels = {**thresholds_of(infarction, (MI.name,)), **thresholds_of(site, sites)}
    return Scores(told, levels), sites


def _evidence(first: Array, second: Array, sections: Sections, sites: tuple[str, ...],
              result: Result) -> EvidenceTrace | None:
    both = np.concatenate([first, second], axis=1)
    found = [finding.label for finding in result.findings if finding.present]
    return trace_of(both, sections, (MI.name, *sites), found, LEADS)


def _not_read(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Undetermined; what the second stage was never trained for is told here too."""
    missing: tuple[Problem, ...] = ()
    if len(provenance.models) == len(EcgMi.models):
        sites = sites_of(provenance.models[1])
        missing = decision.untrained([label.name for label in SITES if label.name not in sites])
    result = undetermined(problems, evidence, provenance)
    return replace(result, problems=(*result.problems, *missing))
