"""How a reader is written: a pure generator that asks for what it needs and gets it sent in.

    def analyse(self, study: Study, selection: Selection) -> Steps[Analysis]:
        ecg = yield from load_ecg(selection.instances)
        (scores,) = yield from infer("ecg_12lead", {"ecg": prepare(ecg)}, ("probabilities",))
        return decide(ecg, scores)

`adapters` fulfil the requests (`LoadVolume`, `LoadMr`, `LoadEcg`, `LoadPhotograph`, `LoadAudio`, `Infer`); a test sends
arrays in.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.audio import Audio
from gateway.evidence_map import EvidenceMap
from gateway.mr import MrVolume
from gateway.photograph import Photograph
from gateway.result import ModelRelease, Problem, Result
from gateway.segmentation import Segmentation
from gateway.study import Instance, Study

Array = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Volume:
    """A stacked axial series in patient order.

    `hu`: float32 (slices, rows, columns), foot to head, padding replaced by air (-1000 HU).
    `spacing`: mm (between slices, between rows, between columns). `positions`: mm along the normal, ascending.
    `slices`: (SOP Instance UID, 1-based frame number) of each slice. `orientation`: the six direction cosines.
    `problems`: named (`gap`, `duplicates-dropped`, `mixed-orientation`, `gantry-tilt`, `irregular-spacing`...).
    """

    hu: Floats
    spacing: tuple[float, float, float]
    positions: NDArray[np.float64]
    slices: tuple[tuple[str, int], ...]
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Ecg:
    """One resting ECG. `signal`: float32 (leads, samples) in mV, NaN where padded or missing; `rate` in Hz.

    `leads`: standard names in the order of the rows: I II III aVR aVL aVF V1..V6 (others keep their own name).
    `sop_instance_uid` and `channels` ((group, channel), 1-based, per lead) name the source.
    """

    signal: Floats
    rate: float
    leads: tuple[str, ...]
    sop_instance_uid: str
    channels: tuple[tuple[int, int], ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadVolume:
    """Answered with a `Volume`, or `Unusable` is thrown in where the instances are no stack."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LoadEcg:
    """Answered with an `Ecg`, or `Unusable` is thrown in."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Infer:
    """Answered with {output name: array}. Arrays carry the batch dimension, as in config.pbtxt."""

    model: str
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadMr:
    """Answered with every axial volume of the instances (tuple of `MrVolume`), or `Unusable` is thrown in."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LoadPhotograph:
    """Answered with a `Photograph`, or `Unusable` is thrown in. `frame` is 1-based."""

    instance: Instance
    frame: int = 1


@dataclass(frozen=True, slots=True)
class LoadAudio:
    """Answered with an `Audio`, or `Unusable` is thrown in."""

    instances: tuple[Instance, ...]


Request = LoadVolume | LoadEcg | Infer | LoadMr | LoadPhotograph | LoadAudio
T = TypeVar("T")
Steps = Generator[Request, Any, T]


def load_volume(instances: tuple[Instance, ...]) -> Steps[Volume]:
    return (yield LoadVolume(instances))  # type: ignore[no-any-return]


def load_ecg(instances: tuple[Instance, ...]) -> Steps[Ecg]:
    return (yield LoadEcg(instances))  # type: ignore[no-any-return]


def load_mr(instances: tuple[Instance, ...]) -> Steps[tuple[MrVolume, ...]]:
    return (yield LoadMr(instances))  # type: ignore[no-any-return]


def load_photograph(instance: Instance, frame: int = 1) -> Steps[Photograph]:
    return (yield LoadPhotograph(instance, frame))  # type: ignore[no-any-return]


def load_audio(instances: tuple[Instance, ...]) -> Steps[Audio]:
    return (yield LoadAudio(instances))  # type: ignore[no-any-return]


def infer(model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> Steps[tuple[Array, ...]]:
    answer = yield Infer(model, inputs, outputs)
    return tuple(answer[name] for name in outputs)


@dataclass(frozen=True, slots=True)
class EcgSheet:
    """Picture: a 12-lead sheet. `signal` mV (leads, samples). Drawn on 25 mm/s, 10 mm/mV."""

    signal: Floats
    rate: float
    leads: tuple[str, ...]
    seconds: float | None = None
    """How long the recording is, where the rows are pieces of it one after the other."""


@dataclass(frozen=True, slots=True)
class KeyImage:
    """Picture: the most telling slice.

    `pixels` uint8 (rows, columns) already windowed, or RGB (rows, columns, 3); `heat` float32 in [0, 1] over the same
    area, or None; `pixel_aspect` row spacing / column spacing; `caption` one line (slice 31 of 64, window).
    """

    pixels: NDArray[np.uint8]
    heat: Floats | None
    caption: str
    pixel_aspect: float = 1.0
    source: tuple[str, int] | None = None
    """(SOP Instance UID, frame) of the slice shown."""
    contour: NDArray[np.bool_] | None = None
    """bool over the same area: what is outlined, beside the plain picture (in place of the heat)."""


@dataclass(frozen=True, slots=True)
class SpectrogramSheet:
    """Picture: a sound over time and frequency, plain above, with what the reader attended to below.

    `levels`: float32 (bands, frames), decibels from the median, the lowest band first; `frequencies`: Hz of each band;
    `seconds`: from the first frame to the last. `heat`: float32 in [0, 1] over the same area, or None. `start`: second
    of the recording at which it begins. `caption`: one line.
    """

    levels: Floats
    frequencies: NDArray[np.float64]
    seconds: float
    heat: Floats | None
    caption: str
    start: float = 0.0


Picture = EcgSheet | KeyImage | SpectrogramSheet


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a reading gives: the result and, where there is something to show, its picture, where evidence lies and what
    was outlined (it becomes the document `seg`)."""

    result: Result
    picture: Picture | None = None
    evidence: EvidenceMap | None = None
    segmentation: Segmentation | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What a pipeline would read of a study. `problems` says why what is there does not fit (then → undetermined)."""

    instances: tuple[Instance, ...]
    problems: tuple[Problem, ...] = ()
    note: str = ""
    """For `check --explain`: why this series (`thinnest axial of 3: 1.25 mm, 300 slices`)."""
    details: Mapping[str, Any] = field(default_factory=dict)


class Pipeline(Protocol):
    """One folder under `pipelines/` exports `PIPELINE`, of this shape. Pure: no I/O, no clock, no random state.

    It speaks English. An optional attribute `words` (language → English → translation, see gateway.translation) holds
    what it says in other languages.
    """

    name: str
    version: str
    title: str
    models: tuple[str, ...]
    """Names under model_repository/ that must be ready."""
    procedure: tuple[str, str, str]
    """Procedure Reported (value, scheme, meaning), from CID 100 where one fits."""
    modalities: tuple[str, ...]

    def select(self, study: Study) -> Selection:
        """Which instances would be read; never raises for odd studies."""
        ...

    def analyse(self, study: Study, selection: Selection, releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        """The reading. `releases`: the ModelRelease of each of `models`, in order, for the provenance."""
        ...
