"""What PTB-XL says of a record, as this reader's labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.ecg_1lead.labels import OUTPUTS

AUXILIARY: tuple[str, ...] = ("SR", "PAC", "SARRH", "1AVB", "CRBBB", "IRBBB", "IVCD", "LVH", "PACE", "AFLT",
                              "SVARR", "ISC_", "NDT", "STD_", "ABQRS")
"""Further statements that the network learns from and is not asked for."""


def truth_of(codes: Mapping[str, float]) -> NDArray[np.float32]:
    """`scp_codes` as float32 (6,) in the order of `OUTPUTS`; a statement is positive whatever its likelihood."""
    return np.array([float(name in codes) for name in OUTPUTS], np.float32)


def auxiliary_of(codes: Mapping[str, float]) -> NDArray[np.float32]:
    return np.array([float(name in codes) for name in AUXILIARY], np.float32)
