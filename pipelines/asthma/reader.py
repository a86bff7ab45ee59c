"""The pipeline: which sounds of a study are read, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gateway.audio import Audio
from gateway.errors import Permanent, Unusable
from gateway.pipeline import Analysis, Floats, Selection, Steps, infer, load_audio
from gateway.result import ModelRelease, Problem, Provenance
from gateway.study import Instance, Study
from pipelines.asthma.decision import Heard, decide, most_telling, undetermined
from pipelines.asthma.labels import ABNORMAL, ASTHMA
from pipelines.asthma.measures import measure
from pipelines.asthma.mel import mel_spectrograms
from pipelines.asthma.preprocess import clips, mono, normalised, resample
from pipelines.asthma.quality import PUBLISHED_SECONDS, TOLERANCE, problems_of_prepared, problems_of_source
from pipelines.asthma.views import sheet
from pipelines.asthma.words import WORDS

MODEL = "asthma"
SOUNDS: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.9.4.1": "Basic Voice Audio Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.4.2": "General Audio Waveform Storage",
}
RESPIRATORY: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.9.6.1": "Respiratory Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.6.2": "Multi-channel Respiratory Waveform Storage",
}
MOST = 24
"""Recordings of one study that are read."""
_AT_ONCE = 32
NO_SOUND = Problem("no-sound", "The study holds no sound recording.")
INVALID_OUTPUT = Problem("invalid-model-output", "The model gave something that is no probability.")


class Asthma:
    """Reader of breath sounds recorded at the chest: asthma-like, other abnormal, normal."""

    name = "asthma"
    version = "1.0.0"
    title = "Breath sounds: asthma-like, other abnormal, normal"
    models: tuple[str, ...] = (MODEL,)
    procedure = ("37931006", "SCT", "Auscultation")
    modalities: tuple[str, ...] = ("AU", "RESP")
    words = WORDS

    def select(self, study: Study) -> Selection:
        """Every sound of the study, in the order of their numbers; respiratory waveforms where there is none."""
        for classes in (SOUNDS, RESPIRATORY):
            fitting = sorted((i for i in study.instances if i.sop_class_uid in classes), key=_order)
            if fitting:
                note = f"{min(len(fitting), MOST)} of {len(fitting)}: {classes[fitting[0].sop_class_uid]}"
                return Selection(tuple(fitting[:MOST]), note=note)
        return Selection((), (NO_SOUND,), "no sound")

    def analyse(self, study: Study, selection: Selection,  # noqa: ARG002 - the port gives it
                releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """Load, check, prepare, infer, decide; what is not fit to be read is undetermined, with the reason."""
        provenance = Provenance(self.name, self.version, releases)
        evidence = tuple(i.sop_instance_uid for i in selection.instances)
        if selection.problems or not selection.instances:
            return Analysis(undetermined(selection.problems or (NO_SOUND,), evidence, provenance))
        heard, problems = yield from _hear(selection.instances, releases[0])
        if not heard:
            return Analysis(undetermined(_once(problems), evidence, provenance))
        result = decide(heard, releases[0], _once(problems), provenance)
        told = ASTHMA.name if any(f.present and f.label == ASTHMA.name for f in result.findings) else ABNORMAL.name
        shown, _ = most_telling(heard, told)
        number = [each.audio.sop_instance_uid for each in heard].index(shown.audio.sop_instance_uid) + 1
        return Analysis(result, sheet(shown, number, len(heard)))


def _order(instance: Instance) -> tuple[float, str]:
    number = instance.tags.get("InstanceNumber")
    return float(number) if isinstance(number, int | float | str) and str(number).isdigit() else 0.0, \
        instance.sop_instance_uid


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Each once, in order: what holds for several recordings is said once."""
    return tuple(dict.fromkeys(problems))


def _hear(instances: Sequence[Instance], release: ModelRelease) -> Steps[tuple[list[Heard], list[Problem]]]:
    """The recordings that can be read, and what is to be said of all of them."""
    heard: list[Heard] = []
    problems: list[Problem] = []
    for instance in instances:
        try:
            audio = yield from load_audio((instance,))
        except Unusable as refusal:
            problems.append(Problem("unreadable-sound", f"A sound cannot be read: {refusal.reason}"))
            continue
        found = yield from read_audio(audio, shortest_of(release))
        problems += audio.problems
        if isinstance(found, Heard):
            heard.append(found)
            problems += _remarks(audio)
        else:
            problems += found
    return heard, problems


def shortest_of(release: ModelRelease) -> float:
    """Seconds that a recording must last: `shortest_seconds` of the model's config.pbtxt, else the published rule."""
    try:
        return float(release.parameters.get("shortest_seconds", PUBLISHED_SECONDS))
    except ValueError as error:
        raise Permanent(f"shortest_seconds of model {release.name} is no number") from error


def _remarks(audio: Audio) -> Iterator[Problem]:
    if audio.seconds < PUBLISHED_SECONDS - TOLERANCE:
        yield Problem("shorter-than-published", f"The recording lasts {audio.seconds:.1f} s; the published rule "
                                                f"wants {PUBLISHED_SECONDS:g} s.")


def read_audio(audio: Audio, shortest: float, *, gated: bool = True) -> Steps[Heard | tuple[Problem, ...]]:
    """One recording through all steps, or why not. Without `gated` it is read whatever the gates say."""
    signal = audio.signal if np.isfinite(audio.signal).any() else np.zeros_like(audio.signal)
    problems = problems_of_channels(signal, audio.rate, shortest)
    if problems and gated:
        return problems
    sound = normalised(resample(mono(signal), audio.rate))
    problems = problems_of_prepared(sound)
    if problems and gated:
        return problems
    cut, starts = clips(sound)
    measures = measure(sound)
    told, attention = yield from _inferred(cut, measures.features())
    if not np.isfinite(told).all():
        return (INVALID_OUTPUT,)
    return Heard(replace(audio, signal=signal), sound, measures, told, attention, starts)


def problems_of_channels(signal: Floats, rate: float, shortest: float) -> tuple[Problem, ...]:
    """Of the channels, the one that is least amiss counts for silence and loss, any for clipping."""
    if not signal.size:
        return (NO_SOUND,)
    each = [problems_of_source(row, rate, shortest) for row in signal]
    clipped = next((found for found in each if found and found[0].code == "clipped"), ())
    return clipped or min(each, key=len)


def _inferred(cut: Floats, features: Floats) -> Steps[tuple[Floats, Floats]]:
    """(clips, outputs) and (clips, f, t)."""
    told, attention = [], []
    for start in range(0, len(cut), _AT_ONCE):
        mels = np.stack([mel_spectrograms(clip) for clip in cut[start:start + _AT_ONCE]])
        beside = np.repeat(features[None], len(mels), axis=0)
        some, where = yield from infer(MODEL, {"mel": mels, "features": beside}, ("probabilities", "attention"))
        told.append(some)
        attention.append(where)
    return np.concatenate(told), np.concatenate(attention)
