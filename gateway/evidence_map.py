"""Where a result's evidence lies, by slice or moment: what the page lays over the source. Never sent anywhere."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Permanent

Bytes = NDArray[np.uint8]
HEAT, MASK = "heat", "mask"
_LARGEST = 256 * 2**20
"""Bytes that a kept map may unfold to."""


@dataclass(frozen=True, slots=True)
class EvidenceVolume:
    """Evidence in a stack of slices.

    `values`: uint8 (labels, planes, rows, columns), 255 is certain; a plane covers the whole area of its slices.
    `slices`: (SOP Instance UID, 1-based frame) in the order read; `planes`: the plane of each, -1 for none.
    `key`: index of the most telling slice. `form`: `heat` (how strongly) or `mask` (a segmentation). `names`: what
    people read of those labels that are no finding's.
    """

    labels: tuple[str, ...]
    values: Bytes
    slices: tuple[tuple[str, int], ...]
    planes: tuple[int, ...]
    key: int
    form: str = HEAT
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or self.values.shape[0] != len(self.labels) or self.form not in (HEAT, MASK):
            raise ValueError("an evidence volume is uint8 (labels, planes, rows, columns), heat or mask")
        if len(self.planes) != len(self.slices) or not 0 <= self.key < len(self.slices):
            raise ValueError("every slice of an evidence volume names its plane, and the key slice is one of them")
        if any(not -1 <= plane < self.values.shape[1] for plane in self.planes):
            raise ValueError("a slice names a plane that is not there")


@dataclass(frozen=True, slots=True)
class EvidenceTrace:
    """Evidence in a recording. `values`: uint8 (labels, leads, steps); a step lasts `step` seconds, the first begins
    with the recording."""

    labels: tuple[str, ...]
    leads: tuple[str, ...]
    values: Bytes
    step: float

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[:2] != (len(self.labels), len(self.leads)) or not self.step > 0:
            raise ValueError("an evidence trace is uint8 (labels, leads, steps) with a positive step")


EvidenceMap = EvidenceVolume | EvidenceTrace


def as_bytes(share: NDArray[Any]) -> Bytes:
    """Shares in [0, 1] as uint8; NaN is none."""
    return np.asarray(np.rint(np.clip(np.nan_to_num(share), 0, 1) * 255), np.uint8)


def pack(evidence: EvidenceMap) -> bytes:
    """Length of the JSON header (4 bytes, little endian), header, values deflated: the same bytes for the same map."""
    if isinstance(evidence, EvidenceVolume):
        told: dict[str, Any] = {"type": "volume", "slices": evidence.slices, "planes": evidence.planes,
                                "key": evidence.key, "form": evidence.form, "names": dict(evidence.names)}
    else:
        told = {"type": "trace", "leads": evidence.leads, "step": evidence.step}
    told |= {"labels": evidence.labels, "shape": evidence.values.shape}
    header = json.dumps(told, separators=(",", ":")).encode()
    return struct.pack("<I", len(header)) + header + zlib.compress(np.ascontiguousarray(evidence.values).tobytes(), 6)


def unpack(content: bytes) -> EvidenceMap:
    """Raises Permanent where the bytes are no map."""
    try:
        (length,) = struct.unpack_from("<I", content)
        told = json.loads(content[4:4 + length])
        values = _values(content[4 + length:], tuple(told["shape"]))
        return _told(told, values)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise Permanent("the evidence map of this case cannot be read") from error


def _values(packed: bytes, shape: tuple[int, ...]) -> Bytes:
    size = int(np.prod(shape, dtype=np.int64))
    if not 0 <= size <= _LARGEST:
        raise ValueError("a map of that size is not kept")
    inflater = zlib.decompressobj()
    plain = inflater.decompress(packed, size + 1)
    if len(plain) != size or not inflater.eof:
        raise ValueError("a map whose values do not fill it")
    return np.frombuffer(plain, np.uint8).reshape(shape)


def _told(told: Mapping[str, Any], values: Bytes) -> EvidenceMap:
    labels = tuple(told["labels"])
    if told["type"] == "trace":
        return EvidenceTrace(labels, tuple(told["leads"]), values, float(told["step"]))
    slices = tuple((str(uid), int(frame)) for uid, frame in told["slices"])
    names = {str(label): str(name) for label, name in told.get("names", {}).items()}
    return EvidenceVolume(labels, values, slices, tuple(told["planes"]), int(told["key"]), told["form"], names)
