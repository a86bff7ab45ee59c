"""What a structured report points at: evidence, image regions (SCOORD) and waveform channels (WAVEFORM, TCOORD)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    GraphicTypeValues,
    ImageContentItem,
    SourceImageForRegion,
)
from highdicom.sr import ImageRegion as RegionItem
from pydicom import Dataset

from adapters.dicom.content.common import code_item
from adapters.dicom.content.sr_codes import MODALITIES, SOURCE_OF_MEASUREMENT, concept
from gateway.case import Reading
from gateway.codes import Code
from gateway.errors import Permanent
from gateway.result import ImageRegion, WaveformRegion
from gateway.study import Instance

_WAVEFORM_STORAGE = "1.2.840.10008.5.1.4.1.1.9."
_IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
_IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
_MODALITY = Code("121139", "DCM", "Modality")
_SOURCE = Code("260753009", "SCT", "Source")


def is_waveform(instance: Instance) -> bool:
    return instance.sop_class_uid.startswith(_WAVEFORM_STORAGE)


def evidence_of(reading: Reading) -> list[Instance]:
    """The instances the result was read from and those its regions lie in, in the study's order.

    A result that was never read (nothing fitted) rests on what was selected. Raises Permanent where an instance is
    not in the study.
    """
    wanted = set(reading.result.evidence) or {i.sop_instance_uid for i in reading.selection.instances}
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


def image_library(evidence: Iterable[Instance]) -> ContainerContentItem | None:
    """TID 1600 with one group for each modality; None where nothing read was an image."""
    groups: dict[str, list[Instance]] = {}
    for instance in evidence:
        if not is_waveform(instance):
            groups.setdefault(str(instance.tags.get("Modality") or "OT"), []).append(instance)
    if not groups:
        return None
    library = ContainerContentItem(concept(_IMAGE_LIBRARY), relationship_type="CONTAINS", template_id="1600")
    library.ContentSequence = ContentSequence(_library_group(m, held) for m, held in groups.items())
    return library


def _library_group(modality: str, images: list[Instance]) -> ContainerContentItem:
    group = ContainerContentItem(concept(_IMAGE_LIBRARY_GROUP), relationship_type="CONTAINS")
    items: list[ContentItem] = [
        ImageContentItem(concept(_SOURCE), i.sop_class_uid, i.sop_instance_uid, relationship_type="CONTAINS")
        for i in images]
    if modality in MODALITIES:
        told = concept(Code(modality, "DCM", MODALITIES[modality]))
        items.insert(0, CodeContentItem(concept(_MODALITY), told, relationship_type="HAS ACQ CONTEXT"))
    group.ContentSequence = ContentSequence(items)
    return group


def region_item(region: ImageRegion, image: Instance) -> RegionItem:
    """A closed rectangle (PS3.3 C.18.6), kept inside the image. Raises Permanent where it lies wholly outside."""
    right = min(region.right, float(image.tags.get("Columns") or region.right))
    bottom = min(region.bottom, float(image.tags.get("Rows") or region.bottom))
    if right <= region.left or bottom <= region.top:
        raise Permanent("a region of the result lies outside its image")
    corners = [(region.left, region.top), (right, region.top), (right, bottom), (region.left, bottom),
               (region.left, region.top)]
    frames = [region.frame] if region.frame > 1 or int(image.tags.get("NumberOfFrames") or 1) > 1 else None
    source = SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid, frames)
    return RegionItem(GraphicTypeValues.POLYLINE, np.array(corners, dtype=np.float32), source)


def waveform_item(waveform: Instance, region: WaveformRegion | None) -> Dataset:
    """TID 321: the waveform a measurement was inferred from, with its channels and, where known, the time span.

    A plain data set: highdicom knows no WAVEFORM content item.
    """
    if region is None or region.start is None or region.end is None:
        return _waveform(waveform, region, "INFERRED FROM", SOURCE_OF_MEASUREMENT)
    span = _item("INFERRED FROM", "TCOORD", SOURCE_OF_MEASUREMENT)
    span.TemporalRangeType = "SEGMENT"
    span.ReferencedTimeOffsets = [f"{region.start:.6g}", f"{region.end:.6g}"]
    span.ContentSequence = [_waveform(waveform, region, "SELECTED FROM", None)]
    return span


def _waveform(waveform: Instance, region: WaveformRegion | None, relationship: str, name: Code | None) -> Dataset:
    item = _item(relationship, "WAVEFORM", name)
    reference = sop_reference(waveform.sop_class_uid, waveform.sop_instance_uid)
    if region and region.channels:
        reference.ReferencedWaveformChannels = [number for pair in region.channels for number in pair]
    item.ReferencedSOPSequence = [reference]
    return item


def _item(relationship: str, value_type: str, name: Code | None) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    if name:
        item.ConceptNameCodeSequence = [code_item(name)]
    return item
