"""`triage-gateway validate ecg_12lead`: the served model on PTB-XL, through the pipeline's own preparation."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports import Inference
from pipelines.ecg.preprocess import band_pass, fill_gaps, in_order, resample, windows
from pipelines.ecg.ptbxl import Progress, Row, rows, signals
from pipelines.ecg.quality import problems_of_prepared, problems_of_source
from pipelines.ecg_12lead.decision import pooled, thresholds_of
from pipelines.ecg_12lead.labels import LABELS, NORM, OUTPUTS
from pipelines.ecg_12lead.truth import TEST, TRAINING, truth_of
from pipelines.metrics import Numbers, auc, bootstrap, calibration_error, sensitivity, specificity

MODEL = "ecg_12lead"


def validate(data: Path, inference: Inference, *, predictions: Path | None = None,
             folds: tuple[int, ...] | None = None, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Figures for every label over the rows of those `strat_fold`s.

    The model has learned from folds 1-8 and its thresholds come from fold 9: only fold 10 of PTB-XL tells how it does.
    None: fold 10 where the table holds training folds too, else every row (a table of records made for testing).
    `predictions`: CSV of record, label, truth, probability. Every record is scored, also those that the pipeline would
    refuse to read (`refused` counts them by reason). Raises Unusable where there is no such data.
    """
    wanted = rows(data, folds) if folds else _not_learned_from(rows(data))
    if not wanted:
        raise Unusable("no record of those folds in ptbxl_database.csv", element="strat_fold")
    thresholds = thresholds_of(inference.release(MODEL))
    probabilities, refused = _scored(wanted, inference, progress)
    if predictions is not None:
        _write(predictions, wanted, probabilities)
    return _report(wanted, probabilities, thresholds, refused)


def _truth(row: Row) -> NDArray[np.float32]:
    return truth_of(row.codes, row.axis)


def _not_learned_from(every: list[Row]) -> list[Row]:
    if any(row.fold in TRAINING for row in every):
        return [row for row in every if row.fold in TEST]
    return every


def _scored(wanted: list[Row], inference: Inference, progress: Progress) -> tuple[Numbers, list[str]]:
    """Probabilities (records, 12), and for each record the first reason not to read it, or an empty string."""
    scores, refused = [], []
    for _, signal, rate, leads in signals(wanted, progress):
        ordered, missing = in_order(signal, leads)
        prepared = band_pass(resample(fill_gaps(ordered), rate))
        problems = problems_of_source(ordered, rate, missing) or problems_of_prepared(prepared)
        scores.append(_score(prepared, inference))
        refused.append(problems[0].code if problems else "")
    return np.array(scores), refused


def _score(prepared: Floats, inference: Inference) -> list[float]:
    answer = inference.infer(MODEL, {"ecg": windows(prepared)}, ("probabilities",))
    told = pooled(answer["probabilities"])
    return [told[name] for name in OUTPUTS]


def _report(wanted: list[Row], probabilities: Numbers, thresholds: dict[str, float],
            refused: list[str]) -> dict[str, Any]:
    figures = {name: _figures(wanted, probabilities, name, thresholds[name]) for name in OUTPUTS}
    norm = figures.pop(NORM)
    known = [label["auc"] for label in figures.values() if label["auc"] is not None]
    return {
        "pipeline": MODEL, "records": len(wanted), "patients": len({row.patient for row in wanted}),
        "folds": {str(fold): count for fold, count in sorted(Counter(row.fold for row in wanted).items())},
        "labels": figures, "macro_auc": float(np.mean(known)) if known else None, "normal": norm,
        "verdicts": _verdicts(wanted, probabilities, thresholds, refused),
        "refused": dict(Counter(reason for reason in refused if reason)),
    }


def _figures(wanted: list[Row], probabilities: Numbers, name: str, threshold: float) -> dict[str, Any]:
    """One label over the rows where somebody has said whether it is so."""
    column = OUTPUTS.index(name)
    said = [number for number, row in enumerate(wanted) if not np.isnan(_truth(row)[column])]
    truth = np.array([_truth(wanted[number])[column] for number in said], dtype=np.float64)
    score = probabilities[said, column]
    interval = bootstrap(auc, truth, score, [wanted[number].patient for number in said])
    return {
        "n": len(said), "positives": int(truth.sum()), "auc": _number(auc(truth, score)),
        "auc_ci95": [_number(limit) for limit in interval], "threshold": threshold,
        "sensitivity": _number(sensitivity(truth, score, threshold)),
        "specificity": _number(specificity(truth, score, threshold)),
        "calibration_error": _number(calibration_error(truth, score)),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: a figure that cannot be computed is null."""
    return None if np.isnan(value) else float(value)


def _verdicts(wanted: list[Row], probabilities: Numbers, thresholds: dict[str, float],
              refused: list[str]) -> dict[str, dict[str, int]]:
    """How often each verdict falls on ECGs called normal, with one of the eleven, and with another abnormality."""
    level = np.array([thresholds[name] for name in OUTPUTS])
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("normal", "one_of_the_eleven", "other_abnormality")}
    for row, given, reason in zip(wanted, probabilities >= level, refused, strict=True):
        counts[_kind(_truth(row))][_verdict(given, reason)] += 1
    return {kind: {verdict: count[verdict] for verdict in ("normal", "pathology", "undetermined")}
            for kind, count in counts.items()}


def _verdict(reached: NDArray[np.bool_], reason: str) -> str:
    if reason:
        return "undetermined"
    if reached[:len(LABELS)].any():
        return "pathology"
    return "normal" if reached[-1] else "undetermined"


def _kind(truth: NDArray[np.float32]) -> str:
    if (truth[:len(LABELS)] == 1).any():
        return "one_of_the_eleven"
    return "normal" if truth[-1] == 1 else "other_abnormality"


def _write(file: Path, wanted: list[Row], probabilities: Numbers) -> None:
    """record, label, truth, probability: a line for each label that somebody has said of a record."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("record", "label", "truth", "probability"))
        for row, given in zip(wanted, probabilities, strict=True):
            for column, label in enumerate(LABELS):
                if not np.isnan(_truth(row)[column]):
                    writer.writerow((row.record, label.name, int(_truth(row)[column]), f"{given[column]:.9g}"))
