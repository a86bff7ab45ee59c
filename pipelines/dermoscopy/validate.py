"""`triage-gateway validate dermoscopy`: the served model on labelled photographs, through the reader's own steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.errors import Permanent, Unusable
from gateway.pipeline import Floats
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import Problem
from pipelines.dermoscopy.decision import Settings, settings_of
from pipelines.dermoscopy.gates import problems_of, problems_of_distance, signs_of
from pipelines.dermoscopy.inputs import inputs_of, person
from pipelines.dermoscopy.isic import Row, lesions, rows
from pipelines.dermoscopy.labels import CLASSES, HISTOLOGY, KERATOSIS, MELANOMA
from pipelines.dermoscopy.lesion import Lesion, find_lesion, whole_picture
from pipelines.dermoscopy.prepare import Prepared, grey16, prepare, squeezed
from pipelines.validation.progress import Progress, silent, track
from pipelines.validation.ranking import Ranking
from pipelines.validation.records import Record, Scored, attributes

MODEL = "dermoscopy"


def score(data: Path, inference: Inference, *, recordings: Recordings, progress: Progress = silent) -> Scored:
    """Every picture is scored, also those that the reader would not read (their verdict and reasons say so); where no
    lesion is found, the middle of the picture is taken for it. Near duplicates are resampled together.

    Raises Unusable where the folder is of another kind.
    """
    release = inference.release(MODEL)
    settings = settings_of(release)
    every = rows(data)
    told, small = [], []
    for row in track(progress, every, len(every), "pictures scored", every=100):
        prepared = _opened(row, recordings)
        small.append(grey16(prepared))
        told.append(_told(prepared, row, inference, settings))
    groups = lesions(np.stack(small))
    records = [_record(row, group, *one, settings) for row, group, one in zip(every, groups, told, strict=True)]
    return Scored(MODEL, (MELANOMA, KERATOSIS), records, settings.thresholds, (release,),
                  further={"histology_needed": {"threshold": settings.thresholds[HISTOLOGY],
                                                **_histology(records, settings)},
                           "scored": "every picture, also those without a verdict", "auc_with_verdict": _read(records)})


def _opened(row: Row, recordings: Recordings) -> Prepared:
    return prepare(squeezed(recordings.photograph(row.file).pixels))


def _told(prepared: Prepared, row: Row, inference: Inference,
          settings: Settings) -> tuple[Floats, tuple[Problem, ...]]:
    """Probabilities (3,), and why the reader would not tell them."""
    found = find_lesion(prepared)
    problems = problems_of(signs_of(prepared, found), settings.limits)
    lesion: Lesion = found or whole_picture(prepared)
    answer = inference.infer(MODEL, inputs_of(prepared, lesion, person(row.age, row.sex)),
                             ("probabilities", "distance"))
    if not np.isfinite(answer["probabilities"]).all():
        raise Permanent("the model gave something that is no probability")
    return answer["probabilities"][0], problems or problems_of_distance(answer["distance"][0], settings.limits)


def _record(row: Row, group: str, given: Floats, problems: tuple[Problem, ...], settings: Settings) -> Record:
    told = dict(zip(CLASSES, map(float, given), strict=True))
    levels = settings.thresholds
    present = told[MELANOMA] >= min(levels[MELANOMA], levels[HISTOLOGY]) or told[KERATOSIS] >= levels[KERATOSIS]
    verdict = "undetermined" if problems else "pathology" if present else "normal"
    return Record(row.name, group, row.truth, {name: told[name] for name in (MELANOMA, KERATOSIS)}, verdict,
                  tuple(problem.code for problem in problems), attributes(age=row.age, sex=row.sex))


def _read(records: list[Record]) -> dict[str, float]:
    """AUC over the pictures with a verdict alone, NaN where one kind is missing."""
    areas = {}
    for label in (MELANOMA, KERATOSIS):
        said = [record for record in records if label in record.truth and record.verdict != "undetermined"]
        areas[label] = Ranking(np.array([record.truth[label] for record in said]),
                               np.array([record.probability[label] for record in said])).area()[0]
    return areas


def _histology(records: list[Record], settings: Settings) -> dict[str, float | None]:
    """Sensitivity and specificity for melanoma at the threshold of `histology_needed`."""
    said = [record for record in records if MELANOMA in record.truth]
    called = np.array([record.probability[MELANOMA] >= settings.thresholds[HISTOLOGY] for record in said])
    true = np.array([record.truth[MELANOMA] > 0.5 for record in said])
    if not said:
        raise Unusable("no picture is labelled for melanoma", element="labels.csv")
    return {"sensitivity": float(called[true].mean()) if true.any() else None,
            "specificity": float((~called[~true]).mean()) if (~true).any() else None}

