"""Which of several waveform objects is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.study import Instance

RESTING: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "General ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "General 32-bit ECG Waveform Storage",
}
"""SOP classes of resting ECGs of several leads."""


def newest_longest(instance: Instance) -> tuple[str, float, str]:
    """Sort key: when acquired (DICOM DT), how long (seconds), and the UID so that the choice is always the same."""
    tags = instance.tags
    when = _text(tags, "AcquisitionDateTime") or _text(tags, "ContentDate") + _text(tags, "ContentTime")
    return when, _seconds(tags), instance.sop_instance_uid


def _text(tags: Mapping[str, Any], keyword: str) -> str:
    value = tags.get(keyword)
    return value.strip() if isinstance(value, str) else ""


def _seconds(tags: Mapping[str, Any]) -> float:
    try:
        return float(tags["NumberOfWaveformSamples"]) / float(tags["SamplingFrequency"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0
