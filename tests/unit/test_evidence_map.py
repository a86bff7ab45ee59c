"""EvidenceMap maps and their bytes: what is kept is what comes back, and nothing else is taken for one."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from gateway.errors import Permanent
from gateway.evidence_map import EvidenceTrace, EvidenceVolume, as_bytes, pack, unpack

VOLUME = EvidenceVolume(("nodule",), np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4), (("1.2", 1), ("1.3", 1)),
                        (0, -1), 0, names={"line": "Outline"})
TRACE = EvidenceTrace(("AFIB", "PVC"), ("II",), np.full((2, 1, 10), 7, np.uint8), 0.5)


@pytest.mark.parametrize("evidence", [VOLUME, TRACE])
def test_what_is_packed_comes_back(evidence: EvidenceVolume | EvidenceTrace) -> None:
    packed = pack(evidence)
    again = unpack(packed)
    assert type(again) is type(evidence)
    assert np.array_equal(again.values, evidence.values)
    assert [getattr(again, name) for name in again.__slots__ if name != "values"] == [
        getattr(evidence, name) for name in evidence.__slots__ if name != "values"]
    assert pack(again) == packed


@pytest.mark.parametrize("content", [
    b"", b"\xff\xff\xff\xff{}", b"\x02\0\0\0{}", pack(VOLUME)[:-4], pack(VOLUME)[:40],
    pack(VOLUME).replace(b'"shape":[1,2,3,4]', b'"shape":[9,9,9,9]'),
    pack(VOLUME).replace(b'"planes":[0,-1]', b'"planes":[0,91]'),
    pack(VOLUME).replace(b'{"line":"Outline"}', b'["line","Outlin"]')])
def test_damaged_maps_are_refused(content: bytes) -> None:
    with pytest.raises(Permanent):
        unpack(content)


def test_a_map_that_would_fill_the_memory_is_refused() -> None:
    header = b'{"type":"trace","leads":["II"],"step":1,"labels":["X"],"shape":[1,1,999999999]}'
    with pytest.raises(Permanent):
        unpack(struct.pack("<I", len(header)) + header + zlib.compress(bytes(10**6)))


def test_a_map_from_before_layers_had_names_is_still_read() -> None:
    packed = pack(VOLUME)
    length, cut = struct.unpack_from("<I", packed)[0], b',"names":{"line":"Outline"}'
    again = unpack(struct.pack("<I", length - len(cut)) + packed[4:].replace(cut, b""))
    assert isinstance(again, EvidenceVolume)
    assert (again.labels, again.names) == (VOLUME.labels, {})


def test_shares_become_bytes() -> None:
    assert as_bytes(np.array([0, 0.5, 1, 2, -1, np.nan])).tolist() == [0, 128, 255, 255, 0, 0]
