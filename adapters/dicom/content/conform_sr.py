"""Our own asserts on a structured report, which no validator makes (PS3.16 TID 1500 and TID 1501)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from pydicom import Dataset

from adapters.dicom.content.sr_codes import (
    FINDING,
    PRESENCE,
    PROBABILITY,
    PROCEDURE_REPORTED,
    TRACKING_IDENTIFIER,
    TRACKING_UID,
)
from adapters.dicom.content.sr_reader import child, items, measurement_groups, number

_OBSERVER_UID = "121012"


Sizes = Mapping[str, tuple[int, int]]
"""SOP Instance UID → (rows, columns) of the images that are at hand."""


def check_report(ds: Dataset, sizes: Sizes) -> list[str]:
    """Sentences, empty for a sound report. Raises what pydicom raises for missing attributes (see `conform`).

    Regions are held against the size of their image where it is at hand, else only against 0.
    """
    return [*_head(ds), *_observer(ds), *_groups(ds), *_evidence(ds), *_regions(ds, sizes)]


def _head(ds: Dataset) -> Iterator[str]:
    template = ds.get("ContentTemplateSequence")
    if not template or template[0].TemplateIdentifier != "1500":
        yield "the root container does not name TID 1500"
    if child(ds, PROCEDURE_REPORTED) is None:
        yield "no Procedure Reported (121058, DCM)"
    if ds.get("VerificationFlag") != "UNVERIFIED":
        yield "Verification Flag is not UNVERIFIED"
    if ds.get("SpecificCharacterSet") != "ISO_IR 192":
        yield "Specific Character Set is not ISO_IR 192"
    if not ds.get("ContributingEquipmentSequence"):
        yield "no Contributing Equipment: the model is not named"


def _observer(ds: Dataset) -> Iterator[str]:
    named_uids = [i for i in ds.get("ContentSequence", [])
                  if i.ValueType == "UIDREF" and i.ConceptNameCodeSequence[0].CodeValue == _OBSERVER_UID]
    if not named_uids:
        yield "no Device Observer UID (TID 1004)"


def _groups(ds: Dataset) -> Iterator[str]:
    groups = list(measurement_groups(ds))
    if not groups:
        yield "no measurement group"
    for n, group in enumerate(groups, 1):
        for name in (TRACKING_IDENTIFIER, TRACKING_UID):
            if child(group, name) is None:
                yield f"measurement group {n} has no {name.meaning}"
        if child(group, FINDING) is not None:
            yield from _finding(n, group)
    uids = [str(u.UID) for g in groups if (u := child(g, TRACKING_UID)) is not None]
    if len(set(uids)) < len(uids):
        yield "two measurement groups share a Tracking Unique Identifier"


def _finding(n: int, group: Dataset) -> Iterator[str]:
    if child(group, PRESENCE) is None:
        yield f"the finding of measurement group {n} is neither present nor absent"
    probability = child(group, PROBABILITY)
    if probability is None or not 0 <= number(probability) <= 1:
        yield f"the finding of measurement group {n} has no probability in [0, 1]"


def _evidence(ds: Dataset) -> Iterator[str]:
    """Every instance the content refers to stands in an evidence sequence with its series (PS3.3 C.17.2.3)."""
    listed = {
        (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID)
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in ds.get(keyword, []) for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence}
    told = {(r.ReferencedSOPClassUID, r.ReferencedSOPInstanceUID)
            for item in items(ds) for r in item.get("ReferencedSOPSequence", [])}
    if missing := len(told - listed):
        yield f"{missing} referenced instances are not listed as evidence"
    if not listed:
        yield "no evidence is listed"


def _regions(ds: Dataset, sizes: Sizes) -> Iterator[str]:
    for item in items(ds):
        if item.ValueType == "SCOORD":
            yield from _region(item, sizes)
        if item.ValueType == "TCOORD" and not _runs_forward(item):
            yield "a temporal region does not run forward from 0"


def _region(item: Dataset, sizes: Sizes) -> Iterator[str]:
    images = [i for i in item.get("ContentSequence", []) if i.ValueType == "IMAGE"]
    if not images:
        yield "an image region names no image"
        return
    points = [float(value) for value in item.GraphicData]
    rows, columns = sizes.get(images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID, (inf, inf))
    inside = all(0 <= x <= columns for x in points[::2]) and all(0 <= y <= rows for y in points[1::2])
    if len(points) % 2 or not inside:
        yield "an image region lies outside its image"
    if item.GraphicType == "POLYLINE" and points[:2] != points[-2:]:
        yield "an image region is not closed"


def _runs_forward(item: Dataset) -> bool:
    offsets = [float(value) for value in item.ReferencedTimeOffsets]
    return offsets == sorted(offsets) and all(value >= 0 for value in offsets)
