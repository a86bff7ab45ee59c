"""`triage-gateway validate chest_ct`: the served models on labelled volumes, through the pipeline itself."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Analysis, Infer, Selection, Volume
from gateway.ports import Inference, Loader
from gateway.result import Result
from gateway.study import Instance, Patient, Series, Study
from pipelines.chest_ct.cases import as_volume, random_case
from pipelines.chest_ct.labels import ABNORMAL, LABELS
from pipelines.chest_ct.reader import ChestCt
from pipelines.metrics import Numbers, auc, bootstrap, sensitivity, specificity

SYNTHETIC = "synthetic"
UNSEEN = 900_000_000
"""First seed of validation cases: training never comes near it."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled volume. `truth`: label → 0 or 1; labels that nobody gave are absent."""

    name: str
    truth: dict[str, int]
    volume: Volume


@dataclass(frozen=True, slots=True)
class Read:
    name: str
    truth: dict[str, int]
    result: Result


def validate(data: Path, inference: Inference, *, predictions: Path | None = None, loader: Loader | None = None,
             cases: int = 100, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Figures for every label.

    `data`: `synthetic` (that word, or an empty folder of that name: `cases` generated chests that training never saw),
    or a folder with `labels.csv`
    (column `name` and a column for each label that is known: 1, 0 or blank) and for each name `NAME.npz` (`hu`: slices,
    rows, columns, foot to head; `spacing`: mm) or a folder NAME of DICOM files (needs `loader`). `predictions`: CSV of
    record, label, truth, probability. What the pipeline would not read is counted in `refused` and not scored.
    Raises Unusable where there is no such data.
    """
    read = []
    for record in _records(data, loader, cases):
        read.append(Read(record.name, record.truth, analyse(record.volume, inference).result))
        if len(read) % 10 == 0:
            progress(f"{len(read)} volumes read")
    if not read:
        raise Unusable("labels.csv names no volume", element="labels.csv")
    scored = [case for case in read if case.result.findings]
    if predictions is not None:
        _write(predictions, scored)
    return _report(read, scored)


def analyse(volume: Volume, inference: Inference) -> Analysis:
    """The pipeline's reading of a volume that is there already."""
    pipeline = ChestCt()
    instances = tuple(_instance(uid, "") for uid in dict.fromkeys(uid for uid, _ in volume.slices))
    study = Study("VALIDATION", "2.25.1", Patient(""), (Series("2.25.2", "CT", instances),))
    releases = tuple(inference.release(model) for model in pipeline.models)
    steps = pipeline.analyse(study, Selection(instances), releases)
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


def _instance(uid: str, path: str) -> Instance:
    return Instance(uid, "1.2.840.10008.5.1.4.1.1.2", "2.25.1", "2.25.2", "1.2.840.10008.1.2.1", path, 0, "", {},
                    datetime(2000, 1, 1, tzinfo=UTC))


def _records(data: Path, loader: Loader | None, cases: int) -> Iterator[Record]:
    if data.name == SYNTHETIC and not (data / "labels.csv").exists():
        for seed in range(UNSEEN, UNSEEN + cases):
            case = random_case(seed)
            truth = {label.name: int(label.name in case.lesions) for label in LABELS}
            yield Record(str(seed), truth | {ABNORMAL: int(bool(case.lesions))}, as_volume(case.hu, case.spacing))
        return
    try:
        text = (data / "labels.csv").read_text(encoding="utf-8")
    except OSError as error:
        raise Unusable("no labels.csv in the folder of volumes", element="labels.csv") from error
    for row in csv.DictReader(text.splitlines()):
        truth = {label.name: int(row[label.name]) for label in LABELS if (row.get(label.name) or "").strip()}
        yield Record(row["name"], truth, _volume(data, row["name"], loader))


def _volume(data: Path, name: str, loader: Loader | None) -> Volume:
    file, folder = data / f"{name}.npz", data / name
    if file.is_file():
        with np.load(file) as held:
            between, down, across = (float(s) for s in held["spacing"])
            return as_volume(held["hu"], (between, down, across))
    if folder.is_dir() and loader is not None:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        return loader.load_volume(tuple(_instance(f"2.25.{n + 1}", str(path)) for n, path in enumerate(paths)))
    raise Unusable("labels.csv names a volume that is not there", element="name")


def _write(file: Path, read: list[Read]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["record", "label", "truth", "probability"])
        for case in read:
            writer.writerows([case.name, finding.label, case.truth[finding.label], f"{finding.probability:.6f}"]
                             for finding in case.result.findings if finding.label in case.truth)


def _report(read: list[Read], scored: list[Read]) -> dict[str, Any]:
    figures = {label.name: _figures(scored, label.name) for label in LABELS}
    known = [figure["auc"] for name, figure in figures.items() if figure["auc"] is not None and name != ABNORMAL]
    verdicts: dict[str, Counter[str]] = {"normal": Counter(), "abnormal": Counter()}
    for case in read:
        if ABNORMAL in case.truth:
            verdicts["abnormal" if case.truth[ABNORMAL] else "normal"][case.result.verdict.value] += 1
    refused = Counter(case.result.problems[0].code for case in read if not case.result.findings)
    return {"pipeline": ChestCt.name, "records": len(read), "labels": figures,
            "macro_auc": float(np.mean(known)) if known else None,
            "verdicts": {truth: dict(counts) for truth, counts in verdicts.items()}, "refused": dict(refused)}


def _figures(read: list[Read], label: str) -> dict[str, Any]:
    said = [case for case in read if label in case.truth]
    found = [next(f for f in case.result.findings if f.label == label) for case in said]
    truth: Numbers = np.array([case.truth[label] for case in said], np.float64)
    score: Numbers = np.array([finding.probability for finding in found], np.float64)
    called: Numbers = np.array([finding.present for finding in found], np.float64)
    low, high = bootstrap(auc, truth, score, [case.name for case in said]) if said else (float("nan"),) * 2
    return {"n": len(said), "positives": int(truth.sum()), "auc": _number(auc(truth, score)),
            "auc_ci95": [_number(low), _number(high)], "sensitivity": _number(sensitivity(truth, called, 0.5)),
            "specificity": _number(specificity(truth, called, 0.5)),
            "threshold": found[0].threshold if found else None}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
