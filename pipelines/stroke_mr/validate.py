"""`triage-gateway validate stroke_mr`: the served FLAIR model on labelled slices in standard space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from gateway.ports import Inference
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.labels import FLAIR, LEAST_PIXELS, LEVEL, SIZE
from pipelines.stroke_mr.lesions import thresholds_of
from pipelines.stroke_mr.slices import Slices, framed, read_slices, unframed
from pipelines.stroke_mr.slices import prepared as standardised_slices
from pipelines.validation.predictions import write
from pipelines.validation.progress import Progress, silent, track
from pipelines.validation.records import Record, Scored
from pipelines.validation.report import report
from pipelines.validation.segmentation import dice, median_interval

LABEL = "lesion"
_BATCH = 16
_LEAST_BRAIN = 6000
"""Pixels (mm²) of brain in a slice at the level of the basal ganglia; less is no such slice."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`probability`: (n,) that the slice shows a lesion; `masks`: bool (n, 189, 157), what is outlined."""

    probability: NDArray[np.float64]
    masks: NDArray[np.bool_]
    threshold: float


def validate(data: Path, inference: Inference, *, predictions: Path | None = None,
             progress: Progress = silent) -> dict[str, Any]:
    """`data`: .npz as `../shared/data/stroke-flair/train.npz`, or its folder. `median_dice` with its interval is over
    slices with more than 50 lesion pixels; the label `lesion` is positive there, negative with none, and slices between
    are left out. The model has learned from `train.npz` itself: only other patients tell how it does.

    `predictions`: CSV of record, label, truth, probability. Raises Unusable where there is no such data.
    """
    scored = score(data, inference, progress=progress)
    if predictions is not None:
        write(predictions, scored)
    return report(scored)


def score(data: Path, inference: Inference, *, progress: Progress = silent) -> Scored:
    """See `validate`: what the command makes figures, page and curves of."""
    found = read_slices(data)
    judged = judge(found, inference, progress)
    release = inference.release(FLAIR)
    records = list(_records(found, judged))
    held = [(record.measures["dice"], record.group) for record in records if "dice" in record.measures]
    figures = np.array([figure for figure, _ in held])
    median = float(np.median(figures)) if held else float("nan")
    interval = median_interval(figures, [group for _, group in held]) if held else (float("nan"), float("nan"))
    return Scored("stroke_mr", (LABEL,), records, {LABEL: judged.threshold}, (release,),
                  further={"median_dice": median, "median_dice_ci95": list(interval), "dice_slices": len(held)})


def judge(found: Slices, inference: Inference, progress: Progress = silent) -> Judged:
    """Every slice through the served model, as the pipeline asks it."""
    threshold, pixel = thresholds_of(inference.release(FLAIR))
    prior = framed(atlas().usual(LEVEL)[None], (SIZE, SIZE))[None]
    probabilities: list[Floats] = []
    masks: list[NDArray[np.bool_]] = []
    starts = range(0, len(found.images), _BATCH)
    for start in track(progress, starts, len(starts), "slices", every=20):
        slices = _whole(standardised_slices(found.images[start:start + _BATCH]))
        told = inference.infer(FLAIR, {"slices": slices, "prior": np.repeat(prior, len(slices), axis=0)},
                               ("lesion", "probability"))
        probabilities.append(told["probability"][:, 0])
        masks.append(unframed(told["lesion"][:, 0]) >= pixel)
    return Judged(np.concatenate(probabilities).astype(np.float64), np.concatenate(masks), threshold)


def _whole(stack: Floats) -> Floats:
    """(n, 1, *CROP) in the middle of SIZE × SIZE."""
    rows, columns = SIZE - stack.shape[2], SIZE - stack.shape[3]
    return np.pad(stack, ((0, 0), (0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)))


def _records(found: Slices, judged: Judged) -> Iterator[Record]:
    for number, (size, subject) in enumerate(zip(found.pixels, found.subjects, strict=True)):
        probability = float(judged.probability[number])
        truth = {} if 0 < size <= LEAST_PIXELS else {LABEL: float(size > LEAST_PIXELS)}
        told, drawn = judged.masks[number], found.masks[number]
        measures = {"volume_ml": float(told.sum()) / 1000, "volume_truth_ml": float(size) / 1000}
        if size > LEAST_PIXELS:
            measures["dice"] = dice(told, drawn)
        reasons = () if int((found.images[number] > 0).sum()) >= _LEAST_BRAIN else ("no-brain",)
        verdict = "pathology" if probability >= judged.threshold else "normal"
        yield Record(subject, subject, truth, {LABEL: probability}, "undetermined" if reasons else verdict, reasons,
                     measures=measures)
