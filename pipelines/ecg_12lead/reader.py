"""The pipeline: which ECG of a study is read, and how."""

from __future__ import annotations

from functools import partial

import numpy as np

from gateway.pipeline import Analysis, Ecg, Selection, Steps, infer
from gateway.result import ModelRelease, Problem, Provenance, Result
from gateway.study import Study
from pipelines.ecg.checking import check
from pipelines.ecg.disagreement import measured_of, weighed
from pipelines.ecg.evidence import trace_of
from pipelines.ecg.features import measure_twelve_leads, twelve_lead_features
from pipelines.ecg.inputs import inputs_of
from pipelines.ecg.leads import LEADS
from pipelines.ecg.opening import NO_ECG, opened, resting_ecg
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.sheet import sheet_of
from pipelines.ecg.suspicion import ANY
from pipelines.ecg.telling import INVALID_OUTPUT, Scores, thresholds_of, undetermined
from pipelines.ecg_12lead.decision import decide, pooled
from pipelines.ecg_12lead.labels import MODEL, OUTPUTS
from pipelines.ecg_12lead.words import WORDS


class Ecg12Lead:
    """Reader of resting 12-lead ECGs for eleven syndromes and for normal against abnormal."""

    name = "ecg_12lead"
    version = "2.3.0"
    title = "12-lead ECG: eleven syndromes, normal against abnormal"
    models: tuple[str, ...] = (MODEL,)
    procedure = ("29303009", "SCT", "Electrocardiographic procedure")
    modalities: tuple[str, ...] = ("ECG",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """See `pipelines.ecg.opening.resting_ecg`."""
        return resting_ecg(study)

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, prepare, infer, decide; what is not fit to be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        return (yield from opened(selection, NO_ECG, partial(undetermined, provenance=provenance),
                                  partial(_read, provenance=provenance)))


def _read(ecg: Ecg, provenance: Provenance) -> Steps[Analysis]:
    """What a loaded ECG says."""
    ordered, missing = in_order(ecg.signal, ecg.leads)
    picture = sheet_of(ordered, ecg.rate, missing)
    checked = check(ordered, ecg.rate, missing)
    if checked.problems:
        return Analysis(_not_read(ecg, checked.problems, provenance), picture)
    measured = twelve_lead_features(checked.beats, checked.waves)
    inputs = inputs_of(checked.filled, ecg.rate, measure_twelve_leads, checked.prepared, measured)
    (release,) = provenance.models
    probabilities, evidence = yield from infer(MODEL, {"ecg": inputs.waves, "features": inputs.features},
                                               ("probabilities", "evidence"))
    if not np.isfinite(probabilities).all():
        return Analysis(_not_read(ecg, (INVALID_OUTPUT,), provenance), picture)
    told = weighed(pooled(probabilities), measured_of(checked.waves))
    scores = Scores(told, thresholds_of(release, OUTPUTS, (ANY,)))
    result = decide(scores, ecg, checked.waves, checked.beats, provenance)
    found = [finding.label for finding in result.findings if finding.present]
    return Analysis(result, picture, trace_of(evidence, inputs, OUTPUTS, found, LEADS))


def _not_read(ecg: Ecg, problems: tuple[Problem, ...], provenance: Provenance) -> Result:
    return undetermined((*ecg.problems, *problems), (ecg.sop_instance_uid,), provenance)
