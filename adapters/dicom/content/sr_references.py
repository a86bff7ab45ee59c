"""What a structured report points at: evidence, image regions (SCOORD) and waveform channels (WAVEFORM, TCOORD)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from highdicom.sr import ContentSequence, GraphicTypeValues, ScoordContentItem, SourceImageForRegion
from pydicom import Dataset

from adapters.dicom.content.common import code_item
from adapters.dicom.content.sr_codes import SOURCE_OF_MEASUREMENT, concept
from gateway.case import Reading
from gateway.codes import Code
from gateway.errors import Permanent
from gateway.result import ImageRegion, WaveformRegion
from gateway.study import Instance

_WAVEFORM_STORAGE = "1.2.840.10008.5.1.4.1.1.9."


def is_waveform(instance: Instance) -> bool:
    return instance.sop_class_uid.startswith(_WAVEFORM_STORAGE)


def evidence_of(reading: Reading) -> list[Instance]:
    """The instances the result was read from and those its regions lie in, in the study's order.

    A result that was never read (nothing fitted) rests on what was selected, else on the whole study. Raises Permanent
    where an instance is not in the study.
    """
    considered = reading.selection.instances or reading.study.instances
    wanted = set(reading.result.evidence) or {i.sop_instance_uid for i in considered}
    wanted |= {f.region.sop_instance_uid for f in reading.result.findings if f.region}
    found = [i for i in reading.study.instances if i.sop_instance_uid in wanted]
    if len({i.sop_instance_uid for i in found}) != len(wanted):
        raise Permanent("the result refers to an instance that is not in its study")
    return list({i.sop_instance_uid: i for i in found}.values())


def evidence_sequence(study_instance_uid: str, evidence: Iterable[Instance]) -> list[Dataset]:
    """Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1): one study, its series, their instances."""
    by_series: dict[str, list[Dataset]] = {}
    for instance in evidence:
        by_series.setdefault(instance.series_instance_uid, []).append(
            sop_reference(instance.sop_class_uid, instance.sop_instance_uid))
    return [study_reference(study_instance_uid, by_series)] if by_series else []


def study_reference(study_instance_uid: str, by_series: dict[str, list[Dataset]]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study_instance_uid
    item.ReferencedSeriesSequence = []
    for series_instance_uid, references in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_instance_uid
        series.ReferencedSOPSequence = references
        item.ReferencedSeriesSequence.append(series)
    return item


def sop_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def region_item(region: ImageRegion, image: Instance) -> Dataset:
    """A closed rectangle in a group (TID 1501 row 10c, PS3.3 C.18.6), kept inside the image.

    Raises Permanent where it lies wholly outside.
    """
    right = min(region.right, float(image.tags.get("Columns") or region.right))
    bottom = min(region.bottom, float(image.tags.get("Rows") or region.bottom))
    if right <= region.left or bottom <= region.top:
        raise Permanent("a region of the result lies outside its image")
    corners = [(region.left, region.top), (right, region.top), (right, bottom), (region.left, bottom),
               (region.left, region.top)]
    frames = [region.frame] if region.frame > 1 or int(image.tags.get("NumberOfFrames") or 1) > 1 else None
    item = ScoordContentItem(concept(SOURCE_OF_MEASUREMENT), GraphicTypeValues.POLYLINE,
                             np.array(corners, dtype=np.float32), relationship_type="CONTAINS")
    source = SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid, frames)
    item.ContentSequence = ContentSequence([source])
    return item


def waveform_item(waveform: Instance) -> Dataset:
    """The waveform a group rests on (TID 1501 row 10f). A plain data set: highdicom knows no WAVEFORM content item."""
    return _waveform(waveform, (), "CONTAINS", SOURCE_OF_MEASUREMENT)


def waveform_region_item(region: WaveformRegion, waveform: Instance) -> Dataset:
    """What a number was inferred from (TID 321): channels of a waveform and, where known, the time span in seconds."""
    if region.start is None or region.end is None:
        return _waveform(waveform, region.channels, "INFERRED FROM", SOURCE_OF_MEASUREMENT)
    span = _item("INFERRED FROM", "TCOORD", SOURCE_OF_MEASUREMENT)
    span.TemporalRangeType = "SEGMENT"
    span.ReferencedTimeOffsets = [f"{region.start:.6g}", f"{region.end:.6g}"]
    span.ContentSequence = [_waveform(waveform, region.channels, "SELECTED FROM", None)]
    return span


def _waveform(waveform: Instance, channels: Sequence[tuple[int, int]], relationship: str, name: Code | None) -> Dataset:
    item = _item(relationship, "WAVEFORM", name)
    reference = sop_reference(waveform.sop_class_uid, waveform.sop_instance_uid)
    if channels:
        reference.ReferencedWaveformChannels = [number for pair in channels for number in pair]
    item.ReferencedSOPSequence = [reference]
    return item


def _item(relationship: str, value_type: str, name: Code | None) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    if name:
        item.ConceptNameCodeSequence = [code_item(name)]
    return item
