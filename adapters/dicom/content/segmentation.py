"""DICOM Segmentation (PS3.3 A.51) of what a reading outlined: one binary segment, a frame for each slice it touches."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as SegmentationDataset
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import MRImageStorage, SegmentationStorage

from adapters.dicom.content.common import (
    MANUFACTURER,
    coding_scheme_identification,
    content_time,
    contributing_equipment,
    derived_dataset,
    dicom_date,
    dicom_time,
    to_part10,
)
from adapters.dicom.content.sr_codes import concept
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.case import Reading
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.errors import Permanent
from gateway.identity import document_series_uid, document_uid, uid
from gateway.phrases import phrase
from gateway.pipeline import Picture
from gateway.segmentation import Segmentation
from gateway.study import Instance

SERIES_NUMBER = 9903


class SegmentationEncoder:
    """`gateway.documents.Encoder` for kind `seg`: only of readings that outlined something."""

    kind = Kind.SEG
    per_destination = False

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document | None:  # noqa: ARG002
        """The same reading gives the same bytes. Raises Permanent where a source is not in the study."""
        outlined = reading.segmentation
        if outlined is None:
            return None
        identity = document_uid(reading.run.run_id, Kind.SEG.value)
        sources = [_instance(reading, source) for source, _ in outlined.slices]
        ds = derived_dataset(
            reading, sop_class_uid=SegmentationStorage, sop_instance_uid=identity,
            series_instance_uid=document_series_uid(reading.run.run_id, Kind.SEG.value), modality="SEG",
            series_number=SERIES_NUMBER, series_description=phrase(reading.language, "report"))
        made = _made(reading, outlined, sources)
        _settle(made, reading, outlined, sources)
        for element in ds:
            made[element.tag] = element
        return Document(Kind.SEG, identity, to_part10(made), str(SegmentationStorage))

    def read_back(self, document: Document) -> Claims:
        """Raises Permanent where the bytes are no such segmentation."""
        try:
            ds = dcmread(BytesIO(document.content))
            frames = len(ds.PerFrameFunctionalGroupsSequence)
            whole = len(ds.PixelData) * 8 >= frames * ds.Rows * ds.Columns and frames == int(ds.NumberOfFrames)
            claims = (str(ds.PatientID or ""), str(ds.StudyInstanceUID), str(ds.AccessionNumber or ""))
        except MALFORMED as error:
            raise Permanent("the segmentation cannot be read back") from error
        if not whole or not any(ds.PixelData):
            raise Permanent("the segmentation lacks pixels")
        return Claims(Kind.SEG, *claims)


def _instance(reading: Reading, sop_instance_uid: str) -> Instance:
    for instance in reading.study.instances:
        if instance.sop_instance_uid == sop_instance_uid:
            return instance
    raise Permanent("the segmentation refers to an instance that is not in its study")


def _made(reading: Reading, outlined: Segmentation, sources: list[Instance]) -> Dataset:
    """highdicom's data set; what it draws at random or from the clock is settled by `_settle`."""
    name, version = outlined.algorithm
    family = AlgorithmIdentificationSequence(name=name, version=version, family=codes.DCM.ArtificialIntelligence)
    segment = SegmentDescription(
        segment_number=1, segment_label=outlined.label[:64], segmented_property_category=concept(outlined.category),
        segmented_property_type=concept(outlined.kind), algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=family, tracking_uid=uid("tracking", reading.run.case_id, outlined.label),
        tracking_id=outlined.label[:64])
    return SegmentationDataset(
        source_images=[_source(reading, outlined, index, instance) for index, instance in enumerate(sources)],
        pixel_array=outlined.mask.astype(np.uint8), segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[segment], series_instance_uid=document_series_uid(reading.run.run_id, Kind.SEG.value),
        series_number=SERIES_NUMBER, sop_instance_uid=document_uid(reading.run.run_id, Kind.SEG.value),
        instance_number=1, manufacturer=MANUFACTURER,
        manufacturer_model_name=reading.result.provenance.pipeline[:64],
        software_versions=reading.result.provenance.pipeline_version[:64], device_serial_number="-",
        content_label="LESION", content_description=phrase("en", "report")[:64])


def _source(reading: Reading, outlined: Segmentation, index: int, instance: Instance) -> Dataset:
    """One source slice as a single-frame image of a name of its own: enhanced objects are told slice by slice."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, _slice_uid(reading, index)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = reading.study.study_instance_uid, instance.series_instance_uid
    ds.FrameOfReferenceUID = outlined.frame_of_reference_uid
    ds.PositionReferenceIndicator = None
    ds.Rows, ds.Columns = outlined.mask.shape[1:]
    ds.ImagePositionPatient = [float(f"{value:.9g}") for value in outlined.origins[index]]
    ds.ImageOrientationPatient = [float(f"{value:.9g}") for value in outlined.orientation]
    ds.PixelSpacing = [float(f"{value:.9g}") for value in outlined.spacing[1:]]
    ds.SliceThickness = ds.SpacingBetweenSlices = float(f"{outlined.spacing[0]:.9g}")
    ds.InstanceNumber = index + 1
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                    "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(ds, keyword, None)
    return ds


def _slice_uid(reading: Reading, index: int) -> str:
    return uid("outlined slice", reading.run.run_id, str(index))


def _settle(ds: Dataset, reading: Reading, outlined: Segmentation, sources: list[Instance]) -> None:
    """Times and UIDs from the run; references by the sources' own names, classes and frames; who made it."""
    made = content_time(reading)
    ds.ContentDate, ds.ContentTime = dicom_date(made), dicom_time(made)
    organisation = uid("dimensions", reading.run.run_id)
    for item in (*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    index_of = {_slice_uid(reading, index): index for index in range(len(sources))}
    for frame in ds.PerFrameFunctionalGroupsSequence:
        for item in frame.DerivationImageSequence[0].SourceImageSequence:
            index = index_of[str(item.ReferencedSOPInstanceUID)]
            _name(item, sources[index])
            if int(sources[index].tags.get("NumberOfFrames") or 1) > 1:
                item.ReferencedFrameNumber = outlined.slices[index][1]
    for series in ds.ReferencedSeriesSequence:
        for item in series.ReferencedInstanceSequence:
            _name(item, sources[index_of[str(item.ReferencedSOPInstanceUID)]])
        once = {str(item.ReferencedSOPInstanceUID): item for item in series.ReferencedInstanceSequence}
        series.ReferencedInstanceSequence = list(once.values())
    if equipment := contributing_equipment(reading):
        ds.ContributingEquipmentSequence = equipment
    ds.CodingSchemeIdentificationSequence = coding_scheme_identification()


def _name(item: Dataset, instance: Instance) -> None:
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.sop_class_uid, instance.sop_instance_uid
