"""Which objects of a study are photographs to be read."""

from __future__ import annotations

from gateway.pipeline import Selection
from gateway.result import Problem
from gateway.study import Instance, Series, Study

DERMOSCOPIC, VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.840.10008.5.1.4.1.1.77.1.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MODALITIES = ("DMS", "XC")
"""Dermoscopy, External-camera Photography (PS3.3 C.7.3.1.1.1)."""
MOST = 24
"""Photographs of a study that are read."""
NO_PHOTOGRAPH = Problem("no-photograph", "The study holds no photograph.")


def select(study: Study) -> Selection:
    """All photographs in the order of series and instance numbers, at most MOST. Never raises."""
    found = [instance for series in sorted(study.series, key=_series_order)
             for instance in sorted(series.instances, key=_order) if is_photograph(instance)]
    if not found:
        return Selection((), (NO_PHOTOGRAPH,), "no photograph")
    return Selection(tuple(found[:MOST]), (), f"{min(len(found), MOST)} of {len(found)} photographs",
                     {"photographs": len(found)})


def is_photograph(instance: Instance) -> bool:
    """By its class; a Secondary Capture by its modality."""
    if instance.sop_class_uid == SECONDARY_CAPTURE:
        return instance.tags.get("Modality") in MODALITIES
    return instance.sop_class_uid in (DERMOSCOPIC, VL_PHOTOGRAPHIC)


def left_out(selection: Selection) -> tuple[Problem, ...]:
    """Says so where there are more photographs than are read."""
    found = selection.details.get("photographs", 0)
    if found <= MOST:
        return ()
    return (Problem("too-many-photographs", f"Only the first {MOST} of {found} photographs were read."),)


def _series_order(series: Series) -> tuple[int, str]:
    return _number(series.tags.get("SeriesNumber")), series.series_instance_uid


def _order(instance: Instance) -> tuple[int, str]:
    return _number(instance.tags.get("InstanceNumber")), instance.sop_instance_uid


def _number(value: object) -> int:
    return value if isinstance(value, int) else 2**31
