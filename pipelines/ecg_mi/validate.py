"""`triage-gateway validate ecg_mi`: both stages on the PTB-XL layout, as the pipeline itself reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gateway.pipeline import Ecg
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import Provenance, Result
from pipelines.ecg.checking import Checked, check
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.scoring import Scoring, said_by
from pipelines.ecg.scoring import score as score_records
from pipelines.ecg.telling import Scores
from pipelines.ecg_mi import figures, truth
from pipelines.ecg_mi.decision import decide
from pipelines.ecg_mi.labels import INFARCTION_MODEL, MI, SITE_MODEL
from pipelines.ecg_mi.reader import SHORTEST, EcgMi, pooled, sites_of
from pipelines.ecg_mi.sections import INFARCTION, SITE, sections_of
from pipelines.ecg_mi.signs import signs_of
from pipelines.validation.progress import Progress, silent
from pipelines.validation.records import Scored

_OUTPUTS = ("probabilities", "members")


def score(data: Path, inference: Inference, *, folds: tuple[int, ...] | None = None,
          recordings: Recordings | None = None, progress: Progress = silent) -> Scored:
    """The rows of the PTB-XL layout (of those `strat_fold`s, else all), or of a hospital's `labels.csv` with a column
    for each known label. Sites are scored in all records, whatever the first stage says; those that the model was never
    trained for are named and not scored. See `pipelines.ecg.scoring`; raises Unusable without such data."""
    sites = sites_of(inference.release(SITE_MODEL))
    outputs = (MI.name, *sites)

    def ask(inference: Inference, checked: Checked, rate: float, member: int | None) -> dict[str, float]:
        return _asked(inference, checked, rate, member, sites)

    def told(scores: Scores, ecg: Ecg, checked: Checked, provenance: Provenance) -> Result:
        signs = None if checked.beats is None else signs_of(checked.beats)
        return decide(scores, sites, ecg, checked.waves, signs, provenance)

    how = Scoring(EcgMi.name, EcgMi.version, outputs, outputs, _check, ask, told,
                  lambda row: truth.told(row, outputs), {}, EcgMi.models)
    scored = score_records(how, data, inference, folds, recordings, progress)
    return replace(scored, further={**scored.further, "sites": figures.sites(scored)})


def _check(ecg: Ecg) -> Checked:
    ordered, missing = in_order(ecg.signal, ecg.leads)
    return check(ordered, ecg.rate, missing, shortest=SHORTEST)


def _asked(inference: Inference, checked: Checked, rate: float, member: int | None,
           sites: Sequence[str]) -> dict[str, float]:
    sections = sections_of(checked.filled, rate, checked.beats)
    first = said_by(inference.infer(INFARCTION_MODEL, sections.given(INFARCTION), _OUTPUTS), member)
    second = said_by(inference.infer(SITE_MODEL, sections.given(SITE), _OUTPUTS), member)
    return dict(zip((MI.name, *sites), (*pooled(first), *pooled(second)), strict=True))
