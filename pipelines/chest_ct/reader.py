"""The pipeline: load, look whether it is a readable chest, ask both networks, decide."""

from __future__ import annotations

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Analysis, Selection, Steps, Volume, infer, load_volume
from gateway.result import Measurement, ModelRelease, Problem, Provenance
from gateway.study import Study
from pipelines.chest_ct import selection as selecting
from pipelines.chest_ct.calibration import curves_of
from pipelines.chest_ct.decision import Scores, decide, findings, undetermined
from pipelines.chest_ct.evidence import Reading, picture, region, volume_of
from pipelines.chest_ct.gates import doubts, problems_of_lungs, problems_of_volume
from pipelines.chest_ct.grid import Working, working
from pipelines.chest_ct.labels import AUTOENCODER, CLASSIFIER, UNUSUAL, learned
from pipelines.chest_ct.lungs import Lungs, find_lungs
from pipelines.chest_ct.measures import measure
from pipelines.chest_ct.views import (
    View,
    autoencoder_input,
    class_scores,
    classifier_input,
    error_score,
    reconstruction_error,
    within,
)
from pipelines.chest_ct.words import WORDS

INVALID_OUTPUT = Problem("invalid-model-output", "A model gave something that is no number.")


class ChestCt:
    """Reader of axial chest CT for opacities, nodules, effusions, emphysema and lungs unlike healthy ones."""

    name = "chest_ct"
    version = "1.2.0"
    title = "Chest CT: opacity, nodule or mass, pleural effusion, emphysema"
    models: tuple[str, ...] = (CLASSIFIER, AUTOENCODER)
    procedure = ("25045-6", "LN", "CT unspecified body region")
    modalities: tuple[str, ...] = ("CT",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """The thinnest axial original series of the chest; with the reasons as problems where there is none."""
        return selecting.select(study)

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, find the lungs, measure, infer, decide; what cannot be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        evidence = tuple(i.sop_instance_uid for i in selection.instances)
        if selection.problems or not selection.instances:
            return Analysis(undetermined(selection.problems or (selecting.NO_CT,), evidence, provenance))
        try:
            volume = yield from load_volume(selection.instances)
        except Unusable as refusal:
            problem = Problem("unreadable-series", f"The series cannot be read: {refusal.reason}.")
            return Analysis(undetermined((problem,), evidence, provenance))
        return (yield from _read(volume, provenance))


def _read(volume: Volume, provenance: Provenance) -> Steps[Analysis]:
    """What a loaded volume says."""
    evidence = tuple(dict.fromkeys(uid for uid, _ in volume.slices))
    problems = problems_of_volume(volume)
    if not problems:
        small = working(volume)
        lungs = find_lungs(small)
        problems = problems_of_lungs(small, lungs)
        if lungs is not None and not problems:
            return (yield from _read_lungs(volume, small, lungs, provenance))
    together = tuple(dict.fromkeys((*volume.problems, *problems)))
    return Analysis(undetermined(together, evidence, provenance))


def _read_lungs(volume: Volume, small: Working, lungs: Lungs, provenance: Provenance) -> Steps[Analysis]:
    evidence = tuple(dict.fromkeys(uid for uid, _ in volume.slices))
    measurements = measure(volume, small, lungs)
    kinds = tuple(label.name for label in learned(provenance.models[0]))
    curves = curves_of(provenance.models[0], kinds) | curves_of(provenance.models[1], (UNUSUAL,))
    view = View.of(lungs)
    (told,) = yield from infer(CLASSIFIER, {"slabs": classifier_input(small, view)}, ("evidence",))
    shown = autoencoder_input(small, lungs, view)
    (rebuilt,) = yield from infer(AUTOENCODER, {"lungs": shown}, ("rebuilt",))
    if not all(np.isfinite(array).all() for array in (told, rebuilt)):
        problems = (*volume.problems, INVALID_OUTPUT)
        return Analysis(undetermined(problems, evidence, provenance, measurements))
    inside = view.cut(lungs.whole, fill=False)
    scores, maps = within(told, inside)
    error = reconstruction_error(shown, rebuilt, inside)
    reading = Reading(volume, small, lungs, view, kinds, scores, maps, error)
    values = dict(zip(kinds, map(float, class_scores(scores)), strict=True)) | {UNUSUAL: error_score(error, inside)}
    return _conclude(reading, Scores(values, curves), measurements, provenance, evidence)


def _conclude(reading: Reading, scores: Scores, measurements: tuple[Measurement, ...], provenance: Provenance,
              evidence: tuple[str, ...]) -> Analysis:
    present = scores.present()
    found = findings(scores, {label: region(reading, label) for label in present})
    doubted = doubts(reading.volume, reading.working, reading.lungs)
    result = decide(found, measurements, reading.volume.problems, doubted, provenance, evidence)
    return Analysis(result, picture(reading, present), volume_of(reading, present))
