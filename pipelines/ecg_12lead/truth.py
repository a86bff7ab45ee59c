"""What PTB-XL says of a record, as this reader's labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.ecg_12lead.labels import OUTPUTS

TRAINING, CALIBRATION, TEST = (1, 2, 3, 4, 5, 6, 7, 8), (9,), (10,)
"""`strat_fold`."""
AXES: Mapping[str, frozenset[str]] = {"LAD": frozenset({"LAD", "ALAD"}), "RAD": frozenset({"RAD", "ARAD"})}


def truth_of(codes: Mapping[str, float], axis: str) -> NDArray[np.float32]:
    """`scp_codes` and `heart_axis` as float32 (12,) in the order of `OUTPUTS`: 1, 0, or NaN where nobody said.

    A statement is positive whatever its likelihood; a blank axis is neither left nor right nor normal.
    """
    values = [(float(axis in AXES[name]) if axis else np.nan) if name in AXES else float(name in codes)
              for name in OUTPUTS]
    return np.array(values, dtype=np.float32)
