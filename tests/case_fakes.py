"""Fakes of the ports behind the case page: sources made here, feedback in memory, a history of a test's choosing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from adapters.hl7.content.message_tree import tree_of_message
from adapters.web.pages_case import CaseParts
from gateway.delivery import Kind
from gateway.evidence_map import EvidenceVolume, pack
from gateway.feedback import Feedback, GivenFeedback
from gateway.history import Change, EarlierCase
from gateway.pipeline import Ecg
from gateway.study import Instance
from gateway.viewing import CaseSources, Pixels, Viewer

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
SLICES, SIZE = 12, 64
KINDS = frozenset({"sr", "sc", "oru", "diagnostic_report"})


@dataclass
class MemoryFeedback:
    """Append only, as the port promises."""

    given: list[GivenFeedback] = field(default_factory=list)

    def add(self, feedback: Feedback, now: datetime) -> GivenFeedback:
        self.given.append(GivenFeedback(len(self.given) + 1, feedback, now))
        return self.given[-1]

    def of_case(self, case_id: str) -> tuple[GivenFeedback, ...]:
        return tuple(g for g in reversed(self.given) if g.said.case_id == case_id)

    def all(self, after_id: int = 0, limit: int = 500) -> tuple[GivenFeedback, ...]:
        return tuple(g for g in self.given if g.feedback_id > after_id)[:limit]


@dataclass
class FakeBackground:
    """Sources, changes and earlier cases by case id; none of a case that no test has given any."""

    of_case: dict[str, CaseSources] = field(default_factory=dict)
    changed: dict[str, dict[str, tuple[Change, ...]]] = field(default_factory=dict)
    before: dict[str, tuple[EarlierCase, ...]] = field(default_factory=dict)
    maps: dict[str, bytes] = field(default_factory=dict)
    ecgs: dict[str, Ecg] = field(default_factory=dict)

    def sources(self, case_id: str) -> CaseSources | None:
        return self.of_case.get(case_id)

    def changes(self, case_id: str) -> Mapping[str, tuple[Change, ...]]:
        return self.changed.get(case_id, {})

    def earlier(self, case_id: str, limit: int = 50) -> tuple[EarlierCase, ...]:
        return self.before.get(case_id, ())[:limit]

    def ecg(self, instances: tuple[Instance, ...]) -> Ecg:
        return self.ecgs[instances[0].path]

    def parts(self, feedback: MemoryFeedback) -> CaseParts:
        viewer = Viewer(self, slice_pixels, self.ecg, self.maps.__getitem__)
        return CaseParts(viewer, self, feedback, {Kind.ORU: tree_of_message})


def slice_instance(number: int, **tags: object) -> Instance:
    """One CT slice of `SLICES`, 5 mm apart, foot to head by number."""
    uid = f"2.25.9{number:03d}"
    told = {"Rows": SIZE, "Columns": SIZE, "PhotometricInterpretation": "MONOCHROME2", "Modality": "CT",
            "PixelSpacing": [2.0, 2.0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SeriesNumber": 3,
            "ImagePositionPatient": [-64.0, -64.0, 5.0 * number], "InstanceNumber": number,
            "SeriesDescription": "Lung 5.0", **tags}
    return Instance(uid, "1.2.840.10008.5.1.4.1.1.2", "2.25.1", "2.25.2", "1.2.840.10008.1.2.1", f"/nowhere/{number}",
                    1, uid, told, NOW)


def slice_pixels(instance: Instance, frame: int) -> Pixels:
    """A disc of −800 HU whose size grows with the slice, in 40 HU."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    inside = np.hypot(rows, columns) < 8 + instance.tags["InstanceNumber"]
    return Pixels(np.where(inside, 224, 1064).astype(np.int16), 1.0, -1024.0)


def ct_sources(label: str = "opacity", run_id: str = "run", form: str = "heat") -> tuple[CaseSources, dict[str, bytes]]:
    """A stack with evidence for one label on its upper half, and the file that holds it; the eighth slice is the key.
    """
    instances = tuple(slice_instance(n) for n in range(1, SLICES + 1))
    values = np.zeros((1, 3, 16, 16), np.uint8)
    values[0, 1, 4:8, 4:8], values[0, 2, 5:7, 5:7] = 250, 120
    planes = (*[-1] * 4, *[0] * 2, *[1] * 4, *[2] * 2)
    slices = tuple((i.sop_instance_uid, 1) for i in instances)
    kept = EvidenceVolume((label,), values, slices, planes, 7, form)
    region = {"sop_instance_uid": instances[7].sop_instance_uid, "frame": 1, "left": 16, "top": 16, "right": 32,
              "bottom": 32}
    found = ({"label": label, "display": "Opacity", "present": True, "region": region},)
    read = tuple(i.sop_instance_uid for i in instances)
    return CaseSources(run_id, instances, read, found, "map", kept=KINDS), {"map": pack(kept)}


LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def ecg_sources(seconds: float = 10.0, rate: float = 500.0, leads: tuple[str, ...] = LEADS) -> tuple[CaseSources, Ecg]:
    """A spike of 1 mV each second in every lead, and a finding in II and V1 where these are there."""
    uid = "2.25.700"
    times = np.arange(round(seconds * rate)) / rate
    beat = np.clip(1 - np.abs(times % 1 - 0.5) / 0.04, 0, 1).astype(np.float32)
    channels = tuple((1, n + 1) for n in range(len(leads)))
    ecg = Ecg(np.tile(beat, (len(leads), 1)), rate, leads, uid, channels)
    told = [channel for lead, channel in zip(leads, channels, strict=True) if lead in ("II", "V1")]
    finding = {"label": "AFIB", "display": "Atrial fibrillation", "present": True,
               "region": {"sop_instance_uid": uid, "channels": told, "start": None, "end": None}}
    recording = Instance(uid, "1.2.840.10008.5.1.4.1.1.9.1.1", "2.25.1", "2.25.2", "1.2.840.10008.1.2.1", uid, 1, uid,
                         {"Modality": "ECG"}, NOW)
    return CaseSources("run", (recording,), (uid,), (finding,), kept=KINDS), ecg
