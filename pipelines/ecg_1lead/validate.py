"""`triage-gateway validate ecg_1lead`: the served model on lead I of the PTB-XL layout, as the pipeline reads it."""

from __future__ import annotations

from pathlib import Path

from gateway.pipeline import Ecg
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import Provenance, Result
from pipelines.ecg.checking import Checked, check
from pipelines.ecg.features import measure_single_lead, single_lead_features
from pipelines.ecg.inputs import Inputs, inputs_of
from pipelines.ecg.labels import NORM
from pipelines.ecg.scoring import Scoring, asking
from pipelines.ecg.scoring import score as score_records
from pipelines.ecg.suspicion import ANY
from pipelines.ecg.telling import Scores
from pipelines.ecg_1lead.decision import decide, pooled
from pipelines.ecg_1lead.labels import LEADS, MODEL, NAMES, OUTPUTS
from pipelines.ecg_1lead.reader import Ecg1Lead, lead_one, missing_leads
from pipelines.ecg_1lead.truth import truth_of
from pipelines.validation.progress import Progress, silent
from pipelines.validation.records import Scored


def score(data: Path, inference: Inference, *, folds: tuple[int, ...] | None = None,
          recordings: Recordings | None = None, progress: Progress = silent) -> Scored:
    """The rows of the PTB-XL layout (of those `strat_fold`s, else all), or of a hospital's `labels.csv` with a column
    for each known label. See `pipelines.ecg.scoring`; raises Unusable without such data."""
    return score_records(scoring(), data, inference, folds, recordings, progress)


def scoring() -> Scoring:
    return Scoring(MODEL, Ecg1Lead.version, OUTPUTS, NAMES, _check, asking(MODEL, _inputs, pooled), _decide,
                   lambda row: truth_of(row.codes), {"normal": NORM}, further_thresholds=(ANY,))


def _check(ecg: Ecg) -> Checked:
    return check(lead_one(ecg), ecg.rate, missing_leads(ecg), LEADS)


def _inputs(checked: Checked, rate: float) -> Inputs:
    return inputs_of(checked.filled, rate, measure_single_lead, checked.prepared,
                     single_lead_features(checked.beats, checked.waves))


def _decide(scores: Scores, ecg: Ecg, checked: Checked, provenance: Provenance) -> Result:
    return decide(scores, ecg, checked.waves, checked.beats, provenance)
