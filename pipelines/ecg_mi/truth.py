"""What PTB-XL says of a record, as this reader's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.ecg.ptbxl import Row

INFARCTION = frozenset({"IMI", "ILMI", "IPLMI", "IPMI", "ASMI", "AMI", "ALMI", "LMI", "PMI"})
"""SCP-ECG statements of an infarction. Injury without one (INJAS and the like) is none."""
SITES: Mapping[str, frozenset[str]] = {
    "inferior": frozenset({"IMI", "ILMI", "IPLMI", "IPMI"}), "anteroseptal": frozenset({"ASMI"}),
    "septal": frozenset(), "anterior": frozenset({"AMI"}), "anterolateral": frozenset({"ALMI"}),
    "lateral": frozenset({"LMI", "ILMI", "ALMI"})}
"""SCP-ECG has no statement of a septal infarction alone."""
FURTHER: tuple[str, ...] = (
    "NORM", "LVH", "LAFB", "CLBBB", "CRBBB", "IRBBB", "ABQRS", "QWAVE", "NDT", "ISC_", "STD_", "NST_", "IVCD", "INVT",
    "LOWT", "ISCAL", "ISCIN", "AFIB", "PACE", "INJAS")
"""Further statements that the networks learn from and are not asked for: above all what looks like an infarction."""
PARTS: tuple[str, ...] = ("IMI", "ILMI", "ALMI", "LMI")
"""Statements that a site puts together."""

_NEIGHBOURS = ("anteroseptal", "anterior")


def infarction(codes: Mapping[str, float]) -> float:
    """1 or 0. A statement is positive whatever its likelihood: in PTB-XL 0 means that nobody said how sure."""
    return float(bool(INFARCTION & codes.keys()))


def site(name: str, codes: Mapping[str, float]) -> float:
    """1 or 0, whatever the likelihood."""
    return float(bool(SITES[name] & codes.keys()))


def told(row: Row, labels: Sequence[str]) -> NDArray[np.float32]:
    """Infarction (`MI`), sites and further statements by name: 1, 0, or NaN where a hospital's own table says nothing.
    """
    if row.said is not None:
        return np.array([row.said.get(name, np.nan) for name in labels], np.float32)
    return np.array([_told(row.codes, name) for name in labels], np.float32)


def known_sites(records: Sequence[Row]) -> tuple[str, ...]:
    """Those with a positive among these records, in the order of `SITES`: only these can be learned."""
    every = np.stack([told(row, tuple(SITES)) for row in records])
    return tuple(name for name, column in zip(SITES, every.T, strict=True) if (column == 1).any())


def never_together(truth: NDArray[np.float32], labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Columns of the sites next to each other that nobody tells of one record: in PTB-XL anteroseptal and anterior.
    `truth` (records, labels)."""
    if not {*_NEIGHBOURS} <= {*labels}:
        return ()
    one, other = (list(labels).index(name) for name in _NEIGHBOURS)
    both = (truth[:, one] == 1) & (truth[:, other] == 1)
    return () if both.any() else ((one, other),)


def _told(codes: Mapping[str, float], name: str) -> float:
    if name in SITES:
        return site(name, codes)
    return infarction(codes) if name == "MI" else float(name in codes)
