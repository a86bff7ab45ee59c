"""What the page shows of a case's own images and recordings: stacks in order, pixels, samples, evidence over them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.audio import Audio
from gateway.errors import Permanent, Unusable
from gateway.evidence_map import Bytes, EvidenceMap, EvidenceTrace, EvidenceVolume, unpack
from gateway.identity import digest
from gateway.image_stacks import Stack, stacks_of
from gateway.pipeline import Ecg
from gateway.study import Instance

WAVEFORM_CLASSES = "1.2.840.10008.5.1.4.1.1.9."
"""SOP classes of waveforms begin with this (PS3.4 B.5)."""
_NO_ECG = (f"{WAVEFORM_CLASSES}4.", f"{WAVEFORM_CLASSES}6.")
"""Audio and respiratory waveforms, which are no curves to be shown on ECG paper."""
_SHOWN_AT_ONCE = 8
"""Cases whose headers are remembered."""
_RECORDINGS_AT_ONCE = 2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CaseSources:
    """What there is to show. `instances`: of the study, still on disk; `read`: UIDs that the shown result was made of.

    `findings` and `provenance`: those of the result, in JSON form. `evidence_path`: "" where no map was kept.
    """

    run_id: str
    instances: tuple[Instance, ...]
    read: tuple[str, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    evidence_path: str = ""
    files_deleted_at: datetime | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)
    kept: frozenset[str] = frozenset()
    """Kinds of the documents whose files are still there: retention deletes pictures and objects made here."""


class ViewingRows(Protocol):
    """Port: what the database knows of a case's sources."""

    def sources(self, case_id: str) -> CaseSources | None:
        """None where there is no such case."""
        ...


@dataclass(frozen=True, slots=True)
class Pixels:
    """One frame. `stored`: int16 (rows, columns), real value = stored × slope + intercept; or uint8 (rows, columns, 3)
    RGB."""

    stored: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0


PixelReader = Callable[[Instance, int], Pixels]
"""(instance, 1-based frame) → its pixels. Raises Unusable where they cannot be read, Transient where the file is out of
reach."""
EcgReader = Callable[[tuple[Instance, ...]], Ecg]
"""As `gateway.ports.Loader.load_ecg`."""
AudioReader = Callable[[tuple[Instance, ...]], Audio]
"""As `gateway.ports.Loader.load_audio`."""


@dataclass(frozen=True, slots=True)
class ImageView:
    """`version` changes with everything that is shown. `evidence` belongs to the stack that holds its slices."""

    version: str
    stacks: tuple[Stack, ...]
    evidence: EvidenceVolume | None
    sources: CaseSources


@dataclass(frozen=True, slots=True)
class Shade:
    """Evidence of a finding in a lead. `start`, `end`: seconds, None for the whole recording."""

    label: str
    lead: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class EcgView:
    """`shades`: where the result's findings point to; `evidence`: how strongly, where the reader says so."""

    version: str
    ecg: Ecg
    shades: tuple[Shade, ...]
    evidence: EvidenceTrace | None
    sources: CaseSources


class Viewer:
    """What to show of a case. Remembers a few cases and recordings; thread-safe."""

    def __init__(self, rows: ViewingRows, read_pixels: PixelReader, read_ecg: EcgReader,
                 read_file: Callable[[str], bytes], read_audio: AudioReader | None = None) -> None:
        """`read_file`: path of a kept evidence map → bytes. Without `read_audio` no sound is given out."""
        self._read_audio = read_audio
        self._rows, self._read_pixels, self._read_ecg, self._read_file = rows, read_pixels, read_ecg, read_file
        self._images: _Recent[ImageView] = _Recent(_SHOWN_AT_ONCE)
        self._recordings: _Recent[EcgView] = _Recent(_RECORDINGS_AT_ONCE)

    def sources(self, case_id: str) -> CaseSources | None:
        return self._rows.sources(case_id)

    def images(self, case_id: str) -> ImageView:
        """Raises Unusable where there is no such case."""
        found = self._found(case_id)
        version = version_of(found)
        return self._images.get((case_id, version), lambda: self._image_view(version, found))

    def slice(self, case_id: str, version: str, stack: int, number: int) -> Pixels:
        """`stack`, `number`: 0-based. Raises Unusable where there is no such slice, or another version is shown."""
        view = self._images.known((case_id, version)) or self.images(case_id)
        if view.version != version or not 0 <= stack < len(view.stacks):
            raise Unusable("The images of this case have changed: load the page again.", element="version")
        slices = view.stacks[stack].slices
        if not 0 <= number < len(slices):
            raise Unusable("There is no such slice.", element="number")
        return self._read_pixels(slices[number].instance, slices[number].frame)

    def plane(self, case_id: str, version: str, label: int, plane: int) -> Bytes:
        """The evidence of a label (by its place) on one plane: uint8 (rows, columns). Raises Unusable where there is
        none."""
        view = self._images.known((case_id, version)) or self.images(case_id)
        evidence = view.evidence if view.version == version else None
        if evidence is None or not 0 <= label < len(evidence.labels) or not 0 <= plane < evidence.values.shape[1]:
            raise Unusable("There is no such evidence.", element="plane")
        return np.asarray(evidence.values[label, plane])

    def ecg(self, case_id: str) -> EcgView:
        """Raises Unusable where the case is not there or has no ECG that can be read, Transient as the reader does."""
        found = self._found(case_id)
        version = version_of(found)
        return self._recordings.get((case_id, version), lambda: self._ecg_view(version, found))

    def sound(self, case_id: str) -> Audio:
        """The longest sound of the case. Raises Unusable where there is none that can be read, Transient as the reader
        does."""
        recordings = sounds(self._found(case_id))
        if not recordings or self._read_audio is None:
            raise Unusable("The study holds no sound that can be played.")
        return self._read_audio(recordings)

    def _found(self, case_id: str) -> CaseSources:
        found = self._rows.sources(case_id)
        if found is None:
            raise Unusable("There is no such case.", element="case_id")
        return found

    def _image_view(self, version: str, found: CaseSources) -> ImageView:
        evidence = self._evidence(found)
        volume = evidence if isinstance(evidence, EvidenceVolume) else None
        return ImageView(version, stacks_of(found.instances, frozenset(found.read)), volume, found)

    def _ecg_view(self, version: str, found: CaseSources) -> EcgView:
        recordings = waveforms(found)
        if not recordings:
            raise Unusable("The study holds no recording that can be shown.")
        ecg = self._read_ecg(recordings)
        kept = self._evidence(found)
        trace = kept if isinstance(kept, EvidenceTrace) else None
        return EcgView(version, ecg, tuple(shades_of(found.findings, ecg)), trace, found)

    def _evidence(self, found: CaseSources) -> EvidenceMap | None:
        """A map that cannot be read hides no picture."""
        if not found.evidence_path:
            return None
        try:
            return unpack(self._read_file(found.evidence_path))
        except Permanent:
            return None


class _Recent(OrderedDict[tuple[str, str], T]):
    """The few values asked for last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._lock = most, threading.Lock()

    def known(self, key: tuple[str, str]) -> T | None:
        with self._lock:
            if key in self:
                self.move_to_end(key)
                return self[key]
            return None

    def get(self, key: tuple[str, str], make: Callable[[], T]) -> T:  # type: ignore[override]
        value = self.known(key)
        if value is None:
            value = make()
            with self._lock:
                self[key] = value
                while len(self) > self._most:
                    self.popitem(last=False)
        return value


def version_of(found: CaseSources) -> str:
    """An opaque token (16 hex digits) of the run and the objects."""
    objects = [(i.sop_instance_uid, i.digest) for i in found.instances]
    return digest("view", found.run_id, found.evidence_path, objects)[:16]


def waveforms(found: CaseSources) -> tuple[Instance, ...]:
    """The recordings that the result was made of, else all there are."""
    every = tuple(i for i in found.instances if i.sop_class_uid.startswith(WAVEFORM_CLASSES)
                  and not i.sop_class_uid.startswith(_NO_ECG))
    return tuple(i for i in every if i.sop_instance_uid in found.read) or every


def sounds(found: CaseSources) -> tuple[Instance, ...]:
    """The sounds that the result was made of, else all there are."""
    every = tuple(i for i in found.instances if i.sop_class_uid.startswith(_NO_ECG[0]))
    return tuple(i for i in every if i.sop_instance_uid in found.read) or every


def shades_of(findings: Sequence[Mapping[str, Any]], ecg: Ecg) -> Iterator[Shade]:
    """Where present findings point to in this recording."""
    lead_of = dict(zip(ecg.channels, ecg.leads, strict=False))
    for finding in findings:
        region = finding.get("region") or {}
        if finding.get("present") and region.get("sop_instance_uid") == ecg.sop_instance_uid:
            for group, channel in region.get("channels") or ():
                if lead := lead_of.get((group, channel)):
                    yield Shade(finding["label"], lead, region.get("start"), region.get("end"))
