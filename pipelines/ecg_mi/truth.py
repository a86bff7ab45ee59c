"""What PTB-XL says of a record, as this reader's labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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


def infarction(codes: Mapping[str, float]) -> float:
    """1 or 0. A statement is positive whatever its likelihood: in PTB-XL 0 means that nobody said how sure."""
    return float(bool(INFARCTION & codes.keys()))


def site(name: str, codes: Mapping[str, float]) -> float:
    return float(bool(SITES[name] & codes.keys()))


def known_sites(records: list[Mapping[str, float]]) -> tuple[str, ...]:
    """Those with a positive among these records, in the order of `SITES`: only these can be learned."""
    return tuple(name for name in SITES if any(site(name, codes) for codes in records))


def further(codes: Mapping[str, float]) -> NDArray[np.float32]:
    return np.array([float(name in codes) for name in FURTHER], np.float32)
