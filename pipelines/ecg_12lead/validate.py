"""`triage-gateway validate ecg_12lead`: the served model on the PTB-XL layout, as the pipeline itself reads it."""

from __future__ import annotations

from pathlib import Path

from gateway.pipeline import Ecg
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import Provenance, Result
from pipelines.ecg.checking import Checked, check
from pipelines.ecg.features import measure_twelve_leads, twelve_lead_features
from pipelines.ecg.inputs import Inputs, inputs_of
from pipelines.ecg.labels import NORM
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.scoring import Scoring, asking
from pipelines.ecg.scoring import score as score_records
from pipelines.ecg.suspicion import ANY
from pipelines.ecg.telling import Scores
from pipelines.ecg_12lead.decision import decide, pooled
from pipelines.ecg_12lead.labels import LABELS, MODEL, OUTPUTS
from pipelines.ecg_12lead.reader import Ecg12Lead
from pipelines.ecg_12lead.truth import truth_of
from pipelines.validation.progress import Progress, silent
from pipelines.validation.records import Scored


def score(data: Path, inference: Inference, *, folds: tuple[int, ...] | None = None,
          recordings: Recordings | None = None, progress: Progress = silent) -> Scored:
    """The rows of the PTB-XL layout (of those `strat_fold`s, else all), or of a hospital's `labels.csv` with a column
    for each known label. See `pipelines.ecg.scoring`; raises Unusable without such data."""
    return score_records(scoring(), data, inference, folds, recordings, progress)


def scoring() -> Scoring:
    return Scoring(MODEL, Ecg12Lead.version, OUTPUTS, tuple(label.name for label in LABELS), _check,
                   asking(MODEL, _inputs, pooled), _decide, lambda row: truth_of(row.codes, row.axis),
                   {"normal": NORM}, further_thresholds=(ANY,))


def _check(ecg: Ecg) -> Checked:
    ordered, missing = in_order(ecg.signal, ecg.leads)
    return check(ordered, ecg.rate, missing)


def _inputs(checked: Checked, rate: float) -> Inputs:
    return inputs_of(checked.filled, rate, measure_twelve_leads, checked.prepared,
                     twelve_lead_features(checked.beats, checked.waves))


def _decide(scores: Scores, ecg: Ecg, checked: Checked, provenance: Provenance) -> Result:
    return decide(scores, ecg, checked.waves, checked.beats, provenance)
