"""DICOM Secondary Capture (PS3.3 A.8.1) of one result: an ECG sheet, a key image, or a card with the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from adapters.dicom.content.common import (
    code_item,
    content_time,
    contributing_equipment,
    derived_dataset,
    dicom_date,
    dicom_time,
    to_part10,
)
from adapters.dicom.content.sheet_ecg import draw_ecg
from adapters.dicom.content.sheet_image import draw_card, draw_key_image
from adapters.dicom.content.sheet_spectrogram import draw_spectrogram
from adapters.dicom.content.sr_references import evidence_of, is_waveform
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.case import Reading
from gateway.codes import Code
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.errors import Permanent
from gateway.identity import document_series_uid, document_uid
from gateway.phrases import phrase
from gateway.pipeline import EcgSheet, KeyImage, Picture, SpectrogramSheet
from gateway.study import Instance

SERIES_NUMBER = 9902
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
_SAID = re.compile(r"Verdict: (normal|pathology|undetermined)\. Risk: ([01]\.\d{3})\.")


class SecondaryCaptureEncoder:
    """`gateway.documents.Encoder` for kind `sc`. There is always a picture: without one from the pipeline, a card."""

    kind = Kind.SC
    per_destination = False

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document:  # noqa: ARG002
        """The same reading and picture give the same bytes. Image Comments says verdict and risk in plain words."""
        identity = document_uid(reading.run.run_id, "sc")
        ds = derived_dataset(
            reading, sop_class_uid=SecondaryCaptureImageStorage, sop_instance_uid=identity,
            series_instance_uid=document_series_uid(reading.run.run_id, "sc"), modality="OT",
            series_number=SERIES_NUMBER, series_description=phrase(reading.language, "report"))
        ds.Laterality = ""
        ds.ConversionType = "WSD"
        _add_image(ds, reading)
        _add_sources(ds, reading, picture)
        _add_pixels(ds, _drawn(reading, picture))
        if equipment := contributing_equipment(reading):
            ds.ContributingEquipmentSequence = equipment
        return Document(Kind.SC, identity, to_part10(ds), str(SecondaryCaptureImageStorage))

    def read_back(self, document: Document) -> Claims:
        """Raises Permanent where the bytes are no such picture."""
        try:
            ds = dcmread(BytesIO(document.content))
            said = _SAID.match(str(ds.ImageComments))
            whole = len(ds.PixelData) >= ds.Rows * ds.Columns * ds.SamplesPerPixel
            claims = (str(ds.PatientID or ""), str(ds.StudyInstanceUID), str(ds.AccessionNumber or ""))
        except MALFORMED as error:
            raise Permanent("the secondary capture cannot be read back") from error
        if said is None or not whole:
            raise Permanent("the secondary capture does not say its verdict or lacks pixels")
        return Claims(Kind.SC, *claims, verdict=said[1], risk=float(said[2]))


def _drawn(reading: Reading, picture: Picture | None) -> NDArray[np.uint8]:
    if isinstance(picture, EcgSheet):
        return draw_ecg(reading, picture)
    if isinstance(picture, KeyImage):
        return draw_key_image(reading, picture)
    if isinstance(picture, SpectrogramSheet):
        return draw_spectrogram(reading, picture)
    return draw_card(reading)


def _add_image(ds: Dataset, reading: Reading) -> None:
    """General Image (PS3.3 C.7.6.1). No patient data is drawn into the pixels."""
    made, result = content_time(reading), reading.result
    ds.ContentDate, ds.ContentTime = dicom_date(made), dicom_time(made)
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation = "NO"
    ds.ImageComments = f"Verdict: {result.verdict.value}. Risk: {result.risk:.3f}. {_caveat(reading)}"
    ds.DerivationDescription = phrase("en", "report")


def _caveat(reading: Reading) -> str:
    support = phrase(reading.language, "decision_support") + "."
    if reading.result.demonstration:
        return f"{phrase(reading.language, 'demonstration')}. {support}"
    return support


def _add_sources(ds: Dataset, reading: Reading, picture: Picture | None) -> None:
    """General Reference (PS3.3 C.12.4): the slice that is shown, else everything that was read."""
    read = _shown(reading, picture)
    images = [i for i in read if not is_waveform(i)]
    others = [i for i in read if is_waveform(i)]
    if images:
        ds.SourceImageSequence = [_source_image(i, picture) for i in images]
    if others:
        ds.SourceInstanceSequence = [_reference(i) for i in others]


def _shown(reading: Reading, picture: Picture | None) -> Sequence[Instance]:
    evidence = evidence_of(reading)
    if isinstance(picture, KeyImage) and picture.source:
        return [i for i in evidence if i.sop_instance_uid == picture.source[0]] or evidence
    return evidence


def _reference(instance: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item


def _source_image(instance: Instance, picture: Picture | None) -> Dataset:
    item = _reference(instance)
    item.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
    multi_frame = int(instance.tags.get("NumberOfFrames") or 1) > 1
    if multi_frame and isinstance(picture, KeyImage) and picture.source:
        item.ReferencedFrameNumber = picture.source[1]
    return item


def _add_pixels(ds: Dataset, pixels: NDArray[np.uint8]) -> None:
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    data = pixels.tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB"
