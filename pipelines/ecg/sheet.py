"""The recording as it came, for the picture of the report."""

from __future__ import annotations

from gateway.pipeline import EcgSheet, Floats
from pipelines.ecg.leads import LEADS


def sheet_of(ordered: Floats, rate: float, missing: tuple[str, ...]) -> EcgSheet | None:
    """The recorded and derived leads, rows as `LEADS`, nothing filtered; None where there is nothing to draw."""
    there = [number for number, name in enumerate(LEADS) if name not in missing]
    if not there or not ordered.shape[1] or not rate > 0:
        return None
    return EcgSheet(ordered[there], rate, tuple(LEADS[number] for number in there))
