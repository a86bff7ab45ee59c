"""`triage-gateway validate asthma`: the served model on KAUH's layout, each subject once, as the pipeline itself reads.

Recordings of the training are told by networks that have not learned from them; slope and offset of the probabilities
alone are fitted to these, which no area under the curve feels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.audio import Audio
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import Verdict
from pipelines.asthma.decision import Heard, thresholds_of
from pipelines.asthma.kauh import Row, rows, sounds
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.measures import measure
from pipelines.asthma.mel import mel_spectrograms
from pipelines.asthma.memory import mark, memory_of
from pipelines.asthma.preprocess import clips, mono, normalised, resample
from pipelines.asthma.quality import problems_of_prepared
from pipelines.asthma.reader import MODEL, problems_of_channels, shortest_of
from pipelines.validation.progress import Progress, silent
from pipelines.validation.records import Record, Scored, attributes

LABELS = ("asthma", "abnormal")
FURTHER = ("wheeze", "crackles")


@dataclass(frozen=True, slots=True)
class _Told:
    """What was said of one file. `probabilities`: empty where nothing is heard in it."""

    row: Row
    probabilities: Mapping[str, float]
    reasons: tuple[str, ...]
    known: bool


def score(data: Path, inference: Inference, *, recordings: Recordings, progress: Progress = silent) -> Scored:
    """Each subject by the mean over the files of it that can be heard: asthma against all others, any diagnosis against
    normal, and, where `sound` tells them, wheezes and crackles.

    A file that the gates refuse is scored all the same, unless it is silent. Raises Unusable without such data.
    """
    scorer = _Scorer(inference)
    files = [scorer.file(row, audio) for row, audio in sounds(rows(data), recordings, progress)]
    subjects = dict.fromkeys(told.row.subject for told in files)
    records = [scorer.subject([told for told in files if told.row.subject == subject]) for subject in subjects]
    refused = Counter(reason for told in files for reason in told.reasons)
    out_of_fold = sum(told.known for told in files)
    further = {"files": len(files), "files_refused": dict(refused), "out_of_fold_files": out_of_fold,
               "verdicts": _verdicts(records), "shortest_seconds": scorer.shortest}
    return Scored(MODEL, LABELS, records, scorer.thresholds, (scorer.release,), {n: n for n in FURTHER}, further)


class _Scorer:
    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self.release = inference.release(MODEL)
        self.thresholds = thresholds_of(self.release)
        self.shortest = shortest_of(self.release)
        self._memory = memory_of(self.release)

    def file(self, row: Row, audio: Audio) -> _Told:
        problems = problems_of_channels(audio.signal, audio.rate, self.shortest)
        if any(problem.code == "silence" for problem in problems):
            return _Told(row, {}, ("silence",), False)
        sound = normalised(resample(mono(audio.signal), audio.rate))
        problems = problems or problems_of_prepared(sound)
        fold = self._memory.get(mark(audio.signal))
        return _Told(row, self._probabilities(audio, sound, fold), tuple(p.code for p in problems), fold is not None)

    def _probabilities(self, audio: Audio, sound: np.ndarray, fold: int | None) -> Mapping[str, float]:
        cut, starts = clips(sound)
        measures = measure(sound)
        given = {"mel": np.stack([mel_spectrograms(clip) for clip in cut]),
                 "features": np.repeat(measures.features()[None], len(cut), axis=0)}
        answer = self._inference.infer(MODEL, given, ("probabilities", "members", "attention"))
        told = answer["probabilities"] if fold is None else answer["members"][:, fold]
        return Heard(audio, sound, measures, told, answer["attention"], starts).pooled

    def subject(self, files: Sequence[_Told]) -> Record:
        """One record: the mean over the files, as one study with several recordings would be read."""
        row = files[0].row
        heard = [told for told in files if told.probabilities]
        probability = {name: float(np.mean([told.probabilities[name] for told in heard]))
                       for name in OUTPUTS if heard}
        accepted = [told for told in heard if not told.reasons]
        reasons = () if accepted else tuple(dict.fromkeys(reason for told in files for reason in told.reasons))
        verdict = Verdict.UNDETERMINED
        if accepted:
            mean = {name: np.mean([told.probabilities[name] for told in accepted]) for name in OUTPUTS}
            present = any(mean[name] >= self.thresholds[name] for name in OUTPUTS)
            verdict = Verdict.PATHOLOGY if present else Verdict.NORMAL
        place = row.location.split()
        groups = attributes(age=row.age, sex=row.sex, side=" ".join(place[:1]),
                            filters=" ".join(sorted(told.row.filter for told in files)))
        return Record(row.subject, row.subject, row.truth, probability, verdict.value, reasons, groups)


def _verdicts(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """How often each verdict falls on subjects with asthma, with another disease, and without."""
    counts: dict[str, Counter[str]] = {"asthma": Counter(), "other": Counter(), "normal": Counter()}
    for record in records:
        kind = "asthma" if record.truth["asthma"] else "other" if record.truth["abnormal"] else "normal"
        counts[kind][record.verdict] += 1
    return {kind: {v: count[v] for v in ("normal", "pathology", "undetermined")} for kind, count in counts.items()}
