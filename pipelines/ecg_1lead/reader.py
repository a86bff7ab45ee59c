"""The pipeline: which one-lead recording of a study is read, and how."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from gateway.pipeline import Analysis, Ecg, EcgSheet, Floats, Selection, Steps, infer
from gateway.result import ModelRelease, Problem, Provenance
from gateway.study import Study
from pipelines.ecg.checking import check
from pipelines.ecg.disagreement import measured_of, weighed
from pipelines.ecg.evidence import trace_of
from pipelines.ecg.features import measure_single_lead, single_lead_features
from pipelines.ecg.inputs import inputs_of
from pipelines.ecg.opening import opened
from pipelines.ecg.selection import newest_longest
from pipelines.ecg.suspicion import ANY
from pipelines.ecg.telling import INVALID_OUTPUT, Scores, thresholds_of, undetermined
from pipelines.ecg_1lead.decision import decide, pooled
from pipelines.ecg_1lead.labels import LEADS, MODEL, OUTPUTS
from pipelines.ecg_1lead.words import WORDS

SOP_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "General ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.3": "Ambulatory ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "General 32-bit ECG Waveform Storage",
}
NO_ECG = Problem("no-ecg", "The study holds no ECG waveform.")
LONGEST = 300.0
"""Seconds."""
HIGHEST_RATE = 1e6
_STRIPS, _STRIP_SECONDS = 6, 10.0


class Ecg1Lead:
    """Reader of lead I alone, ten seconds to five minutes, for five syndromes and for normal against
    abnormal."""

    name = "ecg_1lead"
    version = "2.1.0"
    title = "One-lead ECG: five syndromes, normal against abnormal"
    models: tuple[str, ...] = (MODEL,)
    procedure = ("29303009", "SCT", "Electrocardiographic procedure")
    modalities: tuple[str, ...] = ("ECG",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """The newest ECG waveform object, those with fewest channels first, of equally new ones the longest."""
        fitting = [i for i in study.instances if i.sop_class_uid in SOP_CLASSES]
        if not fitting:
            return Selection((), (NO_ECG,), "no ECG waveform object")
        single = [i for i in fitting if i.tags.get("NumberOfWaveformChannels") in (1, 2)]
        chosen = max(single or fitting, key=newest_longest)
        return Selection((chosen,), note=f"newest of {len(fitting)}: {SOP_CLASSES[chosen.sop_class_uid]}")

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, prepare, infer, decide; what is not fit to be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        return (yield from opened(selection, NO_ECG, partial(undetermined, provenance=provenance),
                                  partial(_read, provenance=provenance)))


def lead_one(ecg: Ecg) -> Floats:
    """(1, samples): lead I, or the only lead there is, at most five minutes of it."""
    row = ecg.leads.index("I") if "I" in ecg.leads else 0
    chosen = ecg.signal[row:row + 1] if len(ecg.signal) else np.full((1, ecg.signal.shape[1]), np.nan)
    longest = round(LONGEST * ecg.rate) if 0 < ecg.rate < HIGHEST_RATE else chosen.shape[1]
    return np.asarray(np.where(np.isfinite(chosen), chosen, np.nan)[:, :longest], np.float32)


def missing_leads(ecg: Ecg) -> tuple[str, ...]:
    """A recording of several leads must have lead I among them, once."""
    return LEADS if len(ecg.leads) != 1 and ecg.leads.count("I") != 1 else ()


def _read(ecg: Ecg, provenance: Provenance) -> Steps[Analysis]:
    """What a loaded ECG says."""
    missing = missing_leads(ecg)
    checked = check(lead_one(ecg), ecg.rate, missing, LEADS)
    picture = None if missing else _strips(checked.filled, ecg.rate)
    if checked.problems:
        problems = (*ecg.problems, *checked.problems)
        return Analysis(undetermined(problems, (ecg.sop_instance_uid,), provenance), picture)
    measured = single_lead_features(checked.beats, checked.waves)
    inputs = inputs_of(checked.filled, ecg.rate, measure_single_lead, checked.prepared, measured)
    (release,) = provenance.models
    probabilities, evidence = yield from infer(MODEL, {"ecg": inputs.waves, "features": inputs.features},
                                               ("probabilities", "evidence"))
    if not np.isfinite(probabilities).all():
        problems = (*ecg.problems, INVALID_OUTPUT)
        return Analysis(undetermined(problems, (ecg.sop_instance_uid,), provenance), picture)
    told = weighed(pooled(probabilities), measured_of(checked.waves))
    scores = Scores(told, thresholds_of(release, OUTPUTS, (ANY,)))
    result = decide(scores, ecg, checked.waves, checked.beats, provenance)
    found = [finding.label for finding in result.findings if finding.present]
    leads = ("I",) if "I" in ecg.leads else ecg.leads[:1]
    return Analysis(result, picture, trace_of(evidence, inputs, OUTPUTS, found, leads))


def _strips(signal: Floats, rate: float) -> EcgSheet | None:
    """The first minute, ten seconds to a line."""
    length = round(_STRIP_SECONDS * rate) if 0 < rate < HIGHEST_RATE else 0
    if not length or not signal.shape[1]:
        return None
    count = min(_STRIPS, max(1, int(np.ceil(signal.shape[1] / length))))
    rows = np.full((count, length), np.nan, np.float32)
    for number in range(count):
        part = signal[0, number * length:(number + 1) * length]
        rows[number, :len(part)] = part
    names = tuple("I" if not number else f"I, {number * _STRIP_SECONDS:.0f} s" for number in range(count))
    return EcgSheet(rows, rate, names, signal.shape[1] / rate)
