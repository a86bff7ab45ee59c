"""The pipeline: load, choose by what the volumes are, find the brain, fit, ask the networks, decide."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Unusable
from gateway.mr import MrVolume
from gateway.pipeline import Analysis, Floats, Selection, Steps, load_mr
from gateway.result import ModelRelease, Problem, Provenance
from gateway.study import Study
from pipelines.stroke_mr import selection as selecting
from pipelines.stroke_mr.brain import find_brain
from pipelines.stroke_mr.decision import NO_DIFFUSION, Told, decide, undetermined
from pipelines.stroke_mr.evidence import picture, region, segmentation, volume_of
from pipelines.stroke_mr.gates import doubts, problems_of_brain, problems_of_fit, problems_of_volume
from pipelines.stroke_mr.labels import DWI, DWI_LESION, FLAIR, FLAIR_LESION, Label
from pipelines.stroke_mr.lesions import Seen, Series, look
from pipelines.stroke_mr.measures import extent_of
from pipelines.stroke_mr.series import choose
from pipelines.stroke_mr.space import fit
from pipelines.stroke_mr.words import WORDS

INVALID_OUTPUT = Problem("invalid-model-output", "A model gave something that is no number.")
WRONG_CONTRAST = Problem("wrong-contrast", "None of the series that could be loaded is FLAIR or diffusion (b ≥ 800).")


@dataclass(frozen=True, slots=True)
class _Read:
    """One series that was read, or why it was not."""

    what: str
    label: Label
    release: ModelRelease
    seen: Seen | None
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...] = ()


class StrokeMr:
    """Reader of head MR for acute ischaemic stroke: FLAIR and diffusion, each by its own network."""

    name = "stroke_mr"
    version = "1.3.0"
    title = "Head MR: acute ischaemic lesion, volume, arterial territory"
    models: tuple[str, ...] = (FLAIR, DWI)
    procedure = ("24590-2", "LN", "MR Brain")
    modalities: tuple[str, ...] = ("MR",)
    words = WORDS

    def select(self, study: Study) -> Selection:
        """Axial FLAIR, diffusion and ADC of the head; with the reasons as problems where there is none."""
        return selecting.select(study)

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """What cannot be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        evidence = tuple(i.sop_instance_uid for i in selection.instances)
        if selection.problems or not selection.instances:
            return Analysis(undetermined(selection.problems or (selecting.NO_MR,), evidence, provenance))
        try:
            volumes = yield from load_mr(selection.instances)
        except Unusable as refusal:
            problem = Problem("unreadable-series", f"The series cannot be read: {refusal.reason}.")
            return Analysis(undetermined((problem,), evidence, provenance))
        chosen = choose(volumes)
        read: list[_Read] = []
        if chosen.dwi is not None:
            channels = (chosen.dwi.values, chosen.adc)
            read.append((yield from _read(chosen.dwi, channels, "DWI", DWI_LESION, releases[1])))
        if chosen.flair is not None:
            read.append((yield from _read(chosen.flair, (chosen.flair.values,), "FLAIR", FLAIR_LESION, releases[0])))
        return _conclude(read, self.name, self.version, evidence, provenance)


def _read(volume: MrVolume, channels: tuple[Floats | None, ...], what: str, label: Label,
          release: ModelRelease) -> Steps[_Read]:
    problems = problems_of_volume(volume)
    if problems:
        return _Read(what, label, release, None, problems)
    brain = find_brain(volume.values, volume.spacing)
    problems = problems_of_brain(volume, brain)
    if problems:
        return _Read(what, label, release, None, problems)
    found = fit(volume, brain)
    problems = problems_of_fit(found)
    if problems:
        return _Read(what, label, release, None, problems)
    seen = yield from look(Series(volume, channels, brain, found), release.name, release)
    if seen is None:
        return _Read(what, label, release, None, (INVALID_OUTPUT,))
    return _Read(what, label, release, seen, volume.problems, doubts(volume, brain, found, what))


def _conclude(read: list[_Read], name: str, version: str, evidence: tuple[str, ...],
              provenance: Provenance) -> Analysis:
    """Diffusion speaks first: its lesion is outlined and measured where it shows one, else that of FLAIR."""
    good = [one for one in read if one.seen is not None]
    if not good:
        why = tuple(dict.fromkeys(p for one in read for p in one.problems)) or (WRONG_CONTRAST,)
        return Analysis(undetermined(why, evidence, provenance))
    asked = {one.release.name for one in good}
    used = Provenance(name, version, tuple(release for release in provenance.models if release.name in asked))
    told = [(one, seen, Told(one.label, float(seen.probability.max()), seen.threshold, seen.volume_ml, region(seen)))
            for one in good if (seen := one.seen) is not None]
    shown, seen, first = max(told, key=lambda item: item[2].present)
    extent = extent_of(seen) if first.present else None
    problems = tuple(dict.fromkeys(p for one in read for p in one.problems))
    result = decide(tuple(t for _, _, t in told), extent, problems, _doubts(read, first.present), used,
                    _sources(good))
    outlined = segmentation(seen, shown.label.display, (shown.release.name, shown.release.version)) if extent else None
    return Analysis(result, picture(seen, shown.what), volume_of(seen, shown.label.name), outlined)


def _doubts(read: list[_Read], present: bool) -> tuple[Problem, ...]:
    """Of every series that was read, what could not be read, and missing diffusion where nothing was found."""
    found = [p for one in read for p in (one.doubts if one.seen is not None else one.problems)]
    if not present and not any(one.what == "DWI" and one.seen is not None for one in read):
        found.append(NO_DIFFUSION)
    return tuple(dict.fromkeys(found))


def _sources(read: list[_Read]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uid for one in read if one.seen is not None for uid, _ in one.seen.series.volume.slices))
