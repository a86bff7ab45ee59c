"""`triage-gateway validate chest_ct`: the served models on labelled volumes, through the pipeline itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Rejected, Unusable
from gateway.pipeline import Analysis, Infer, Selection, Volume
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import ModelRelease, Result
from gateway.study import Instance, Patient, Series, Study
from pipelines.chest_ct.cases import as_volume, random_case
from pipelines.chest_ct.labels import ABNORMAL, KINDS, learned
from pipelines.chest_ct.reader import ChestCt
from pipelines.chest_ct.tables import read_labels
from pipelines.validation.progress import Progress, silent, track
from pipelines.validation.records import Record, Scored
from pipelines.validation.table import Row

SYNTHETIC = "synthetic"
UNSEEN = 900_000_000
"""First seed of validation cases: training never comes near it."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled volume. `truth`: label → 0 or 1; labels that nobody gave are absent."""

    name: str
    patient: str
    truth: dict[str, float]
    volume: Volume
    attributes: dict[str, str] = field(default_factory=dict)


def score(data: Path, inference: Inference, *, recordings: Recordings | None = None, cases: int = 100,
          progress: Progress = silent) -> Scored:
    """Every volume as the pipeline reads it.

    `data`: `synthetic` (that word, or an empty folder of that name: `cases` generated chests that training never saw),
    or a folder with a table (see `pipelines.chest_ct.tables`) and for each record `NAME.npz` (`hu`: slices, rows,
    columns, foot to head; `spacing`: mm), a NIfTI-1 file, or a folder of DICOM slices. What the pipeline would not read
    is undetermined, and has no probabilities. Raises Unusable where there is no such data, naming the table's line.
    """
    releases = tuple(inference.release(model) for model in ChestCt.models)
    labels = (*(label.name for label in learned(releases[0]) if label.name != ABNORMAL), ABNORMAL)
    count, labelled = _synthetic(cases) if data.name == SYNTHETIC and not (data / "labels.csv").exists() \
        else _labelled(read_labels(data), recordings)
    records, results = [], []
    for case in track(progress, labelled, count, "volumes read", every=10):
        result = analyse(case.volume, inference, releases).result
        results.append((case, result))
        records.append(_record(case, result))
    thresholds = {f.label: f.threshold for _, result in results for f in result.findings}
    return Scored(ChestCt.name, labels, records, {label: thresholds.get(label, 1.0) for label in labels}, releases,
                  apart={"overall": ABNORMAL}, further={"verdicts": _verdicts(results)})


def analyse(volume: Volume, inference: Inference, releases: tuple[ModelRelease, ...] = ()) -> Analysis:
    """The pipeline's reading of a volume that is there already."""
    pipeline = ChestCt()
    instances = tuple(_instance(uid) for uid in dict.fromkeys(uid for uid, _ in volume.slices))
    study = Study("VALIDATION", "2.25.1", Patient(""), (Series("2.25.2", "CT", instances),))
    told = releases or tuple(inference.release(model) for model in pipeline.models)
    steps = pipeline.analyse(study, Selection(instances), told)
    try:
        request = next(steps)
        while True:
            if isinstance(request, Infer):
                request = steps.send(inference.infer(request.model, request.inputs, request.outputs))
            else:
                request = steps.send(volume)
    except StopIteration as end:
        analysis: Analysis = end.value
        return analysis


def _instance(uid: str) -> Instance:
    return Instance(uid, "1.2.840.10008.5.1.4.1.1.2", "2.25.1", "2.25.2", "1.2.840.10008.1.2.1", "", 0, "", {},
                    datetime(2000, 1, 1, tzinfo=UTC))


def _synthetic(cases: int) -> tuple[int, Iterator[Labelled]]:
    def made() -> Iterator[Labelled]:
        for seed in range(UNSEEN, UNSEEN + cases):
            case = random_case(seed)
            truth = {kind: float(kind in case.lesions) for kind in KINDS} | {ABNORMAL: float(bool(case.lesions))}
            yield Labelled(str(seed), str(seed), truth, as_volume(case.hu, case.spacing))

    return cases, made()


def _labelled(rows: list[Row], recordings: Recordings | None) -> tuple[int, Iterator[Labelled]]:
    def read() -> Iterator[Labelled]:
        for row in rows:
            try:
                volume = load(row.path, recordings)
            except Rejected as error:
                raise row.refused(error.reason) from error
            yield Labelled(row.record, row.patient, dict(row.truth), volume, row.attributes)

    return len(rows), read()


def load(path: Path, recordings: Recordings | None) -> Volume:
    """`path` with or without suffix: `.npz`, NIfTI-1, or a folder of DICOM slices. Raises Unusable."""
    arrays = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    if arrays.is_file():
        with np.load(arrays) as held:
            between, down, across = (float(s) for s in held["spacing"])
            return as_volume(held["hu"], (between, down, across))
    found = [path, path.with_name(path.name + ".nii.gz"), path.with_name(path.name + ".nii")]
    there = next((candidate for candidate in found if candidate.exists()), None)
    if there is None or recordings is None:
        raise Unusable("the volume is not there", element="record")
    return recordings.volume(there)


def _record(case: Labelled, result: Result) -> Record:
    told = {f.label: f.probability for f in result.findings}
    return Record(case.name, case.patient, case.truth, told, result.verdict.value,
                  tuple(problem.code for problem in result.problems), case.attributes)


def _verdicts(results: list[tuple[Labelled, Result]]) -> dict[str, Any]:
    """How often each verdict falls on normal and on abnormal chests."""
    verdicts: dict[str, Counter[str]] = {"normal": Counter(), "abnormal": Counter()}
    for case, result in results:
        if ABNORMAL in case.truth:
            verdicts["abnormal" if case.truth[ABNORMAL] else "normal"][result.verdict.value] += 1
    return {truth: dict(counts) for truth, counts in verdicts.items()}
