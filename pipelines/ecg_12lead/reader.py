"""The pipeline: which ECG of a study is read, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.evidence_map import EvidenceTrace
from gateway.pipeline import Analysis, Ecg, EcgSheet, Floats, Selection, Steps, infer, load_ecg
from gateway.result import ModelRelease, Problem, Provenance, Result
from gateway.study import Instance, Study
from pipelines.ecg.delineation import delineate
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import band_pass, fill_gaps, in_order, resample, windows
from pipelines.ecg.quality import problems_of_prepared, problems_of_source
from pipelines.ecg_12lead.decision import Scores, decide, pooled, thresholds_of, undetermined
from pipelines.ecg_12lead.evidence import evidence_of
from pipelines.ecg_12lead.words import WORDS

SOP_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "General ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "General 32-bit ECG Waveform Storage",
}
NO_ECG = Problem("no-ecg", "The study holds no 12-lead or general ECG waveform.")
INVALID_OUTPUT = Problem("invalid-model-output", "The model gave something that is no probability.")


class Ecg12Lead:
    """Reader of resting 12-lead ECGs for eleven syndromes and for normal against abnormal."""

    name = "ecg_12lead"
    version = "1.1.0"
    title = "12-lead ECG: eleven syndromes, normal against abnormal"
    models: tuple[str, ...] = ("ecg_12lead",)
    procedure = ("29303009", "SCT", "Electrocardiographic procedure")
    modalities: tuple[str, ...] = ("ECG",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """The newest ECG waveform object, of equally new ones the longest; `no-ecg` where there is none."""
        fitting = [i for i in study.instances if i.sop_class_uid in SOP_CLASSES]
        if not fitting:
            return Selection((), (NO_ECG,), "no ECG waveform object")
        chosen = max(fitting, key=_newest_longest)
        return Selection((chosen,), note=f"newest of {len(fitting)}: {SOP_CLASSES[chosen.sop_class_uid]}")

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, prepare, infer, decide; what is not fit to be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        evidence = tuple(i.sop_instance_uid for i in selection.instances)
        if selection.problems or not selection.instances:
            return Analysis(undetermined(selection.problems or (NO_ECG,), evidence, provenance))
        try:
            ecg = yield from load_ecg(selection.instances)
        except Unusable as refusal:
            problem = Problem("unreadable-ecg", f"The waveform cannot be read: {refusal.reason}")
            return Analysis(undetermined((problem,), evidence, provenance))
        return (yield from _read(ecg, provenance))

    def evidence_of(self, ecg: Ecg, labels: Sequence[str]) -> Steps[EvidenceTrace | None]:
        """Where in the recording these findings are told from."""
        return (yield from evidence_of(ecg, labels))


def _newest_longest(instance: Instance) -> tuple[str, float, str]:
    """Sort key: when acquired (DICOM DT), how long (seconds), and the UID so that the choice is always the same."""
    tags = instance.tags
    when = _text(tags, "AcquisitionDateTime") or _text(tags, "ContentDate") + _text(tags, "ContentTime")
    return when, _seconds(tags), instance.sop_instance_uid


def _text(tags: Mapping[str, Any], keyword: str) -> str:
    value = tags.get(keyword)
    return value.strip() if isinstance(value, str) else ""


def _seconds(tags: Mapping[str, Any]) -> float:
    groups = tags.get("WaveformSequence")
    first = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], Mapping) else {}
    try:
        return float(first["NumberOfWaveformSamples"]) / float(first["SamplingFrequency"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def _read(ecg: Ecg, provenance: Provenance) -> Steps[Analysis]:
    """What a loaded ECG says."""
    ordered, missing = in_order(ecg.signal, ecg.leads)
    picture = _sheet(ordered, ecg.rate, missing)
    problems = problems_of_source(ordered, ecg.rate, missing)
    if problems:
        return Analysis(_not_read(ecg, problems, provenance), picture)
    signal = band_pass(resample(fill_gaps(ordered), ecg.rate))
    problems = problems_of_prepared(signal)
    if problems:
        return Analysis(_not_read(ecg, problems, provenance), picture)
    (release,) = provenance.models
    (given,) = yield from infer("ecg_12lead", {"ecg": windows(signal)}, ("probabilities",))
    if not np.isfinite(given).all():
        return Analysis(_not_read(ecg, (INVALID_OUTPUT,), provenance), picture)
    scores = Scores(pooled(given), thresholds_of(release))
    return Analysis(decide(scores, ecg, delineate(fill_gaps(ordered), ecg.rate), provenance), picture)


def _not_read(ecg: Ecg, problems: tuple[Problem, ...], provenance: Provenance) -> Result:
    return undetermined((*ecg.problems, *problems), (ecg.sop_instance_uid,), provenance)


def _sheet(ordered: Floats, rate: float, missing: tuple[str, ...]) -> EcgSheet | None:
    """The recorded and derived leads as they came, nothing filtered."""
    there = [number for number, name in enumerate(LEADS) if name not in missing]
    if not there or not ordered.shape[1] or not rate > 0:
        return None
    return EcgSheet(ordered[there], rate, tuple(LEADS[number] for number in there))
