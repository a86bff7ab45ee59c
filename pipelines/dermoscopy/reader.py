"""The pipeline: photographs of a study → the result of the most suspicious one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.errors import Unusable
from gateway.photograph import Photograph
from gateway.pipeline import Analysis, Floats, Selection, Steps, infer, load_photograph
from gateway.result import ModelRelease, Problem, Provenance
from gateway.study import Instance, Study
from pipelines.dermoscopy import selection as selecting
from pipelines.dermoscopy.decision import Read, Settings, decide, settings_of, undetermined
from pipelines.dermoscopy.evidence import evidence_of, evidence_volume, picture, region
from pipelines.dermoscopy.gates import (
    INVALID_OUTPUT,
    SMALLEST,
    TOO_SMALL,
    problems_of,
    problems_of_distance,
    signs_of,
)
from pipelines.dermoscopy.inputs import inputs_of, person_of
from pipelines.dermoscopy.labels import CLASSES
from pipelines.dermoscopy.lesion import Lesion, find_lesion
from pipelines.dermoscopy.measures import measure
from pipelines.dermoscopy.prepare import Prepared, prepare, squeezed
from pipelines.dermoscopy.words import WORDS

MODEL = "dermoscopy"
OUTPUTS = ("probabilities", "evidence", "distance")


@dataclass(frozen=True, slots=True)
class Shown:
    """A photograph that was read, with what its picture needs. `evidence`: see `evidence.evidence_of`."""

    photograph: Photograph
    lesion: Lesion
    evidence: Floats
    read: Read


class Dermoscopy:
    """Implements gateway.pipeline.Pipeline."""

    name = MODEL
    version = "1.0.0"
    title = "Dermoscopy: melanoma, seborrheic keratosis, nevus"
    models = (MODEL,)
    procedure = ("363679005", "SCT", "Imaging procedure")
    modalities: tuple[str, ...] = selecting.MODALITIES
    words = WORDS

    def select(self, study: Study) -> Selection:
        """Every photograph of the study, up to a bound."""
        return selecting.select(study)

    def analyse(self, study: Study, selection: Selection, releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Read each photograph; the most suspicious one is told. What cannot be read is undetermined, with the
        reason."""
        provenance = Provenance(self.name, self.version, releases)
        evidence = tuple(i.sop_instance_uid for i in selection.instances)
        if selection.problems or not selection.instances:
            return Analysis(undetermined(selection.problems or (selecting.NO_PHOTOGRAPH,), evidence, provenance))
        settings = settings_of(releases[0])
        person = person_of(study)
        shown: list[Shown] = []
        problems = list(selecting.left_out(selection))
        for instance in selection.instances:
            told = yield from _photograph(instance, person, settings)
            if isinstance(told, Shown):
                shown.append(told)
            else:
                problems += [problem for problem in told if problem not in problems]
        return _conclude(shown, tuple(problems), settings, provenance, evidence)


def _photograph(instance: Instance, person: Floats, settings: Settings) -> Steps[Shown | tuple[Problem, ...]]:
    """One photograph: what it shows, or why it was not read."""
    try:
        photograph = yield from load_photograph(instance)
    except Unusable as refusal:
        return (Problem("unreadable-photograph", f"The photograph cannot be read: {refusal.reason}"),)
    if min(photograph.pixels.shape[:2]) < SMALLEST:
        return (TOO_SMALL,)
    prepared = prepare(squeezed(photograph.pixels))
    lesion = find_lesion(prepared)
    problems = problems_of(signs_of(prepared, lesion), settings.limits)
    if problems or lesion is None:
        return problems
    return (yield from _lesion(photograph, prepared, lesion, person, settings))


def _lesion(photograph: Photograph, prepared: Prepared, lesion: Lesion, person: Floats,
            settings: Settings) -> Steps[Shown | tuple[Problem, ...]]:
    answers = yield from infer(MODEL, inputs_of(prepared, lesion, person), OUTPUTS)
    if not all(np.isfinite(answer).all() for answer in answers):
        return (INVALID_OUTPUT,)
    probabilities, maps, distance = answers
    if problems := problems_of_distance(distance[0], settings.limits):
        return problems
    told = dict(zip(CLASSES, map(float, np.clip(probabilities[0], 0, 1)), strict=True))
    rows, columns = photograph.pixels.shape[:2]
    abcd = measure(prepared, lesion, (rows, columns), photograph.spacing)
    return Shown(photograph, lesion, evidence_of(maps[0], lesion), Read(told, abcd, region(photograph, lesion)))


def _conclude(shown: list[Shown], problems: tuple[Problem, ...], settings: Settings, provenance: Provenance,
              evidence: tuple[str, ...]) -> Analysis:
    if not shown:
        return Analysis(undetermined(problems, evidence, provenance))
    number = max(range(len(shown)), key=lambda n: shown[n].read.suspicion)
    worst = shown[number]
    result = decide(worst.read, settings, len(evidence), problems, provenance, evidence)
    which = evidence.index(worst.photograph.sop_instance_uid) + 1
    return Analysis(result, picture(worst, which, len(evidence)), evidence_volume(shown, number))
