"""What PTB-XL says of a record, as this reader's labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.ecg_12lead.labels import OUTPUTS

AXES: Mapping[str, frozenset[str]] = {"LAD": frozenset({"LAD", "ALAD"}), "RAD": frozenset({"RAD", "ARAD"})}


def truth_of(codes: Mapping[str, float], axis: str) -> NDArray[np.float32]:
    """`scp_codes` and `heart_axis` as float32 (12,) in the order of `OUTPUTS`: 1, 0, or NaN where nobody said.

    A statement is positive whatever its likelihood; a blank axis is neither left nor right nor normal.
    """
    values = [(float(axis in AXES[name]) if axis else np.nan) if name in AXES else float(name in codes)
              for name in OUTPUTS]
    return np.array(values, dtype=np.float32)


INFARCTION = frozenset({"IMI", "ILMI", "IPLMI", "IPMI", "ASMI", "AMI", "ALMI", "LMI", "PMI"})
AUXILIARY: tuple[str, ...] = (
    "SR", "ABQRS", "IMI", "ASMI", "LVH", "NDT", "LAFB", "ISC_", "STD_", "SARRH", "VCLVH", "NST_", "ISCAL", "IVCD",
    "QWAVE", "LOWT", "LAO/LAE", "NT_", "ILMI", "AMI", "PACE", "INVT", "LPR", "DIG", "LMI", "INJAS", "ISCIN", "ALMI",
    "ISCIL", "LVOLT", "LPFB", "AFLT", "RVH", "SVARR")
"""Further statements that the network learns from and is not asked for: with few records each one helps."""


def auxiliary_of(codes: Mapping[str, float]) -> NDArray[np.float32]:
    """Infarction of any site, then each of `AUXILIARY`."""
    return np.array([float(bool(INFARCTION & codes.keys())), *(float(name in codes) for name in AUXILIARY)], np.float32)
