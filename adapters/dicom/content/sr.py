"""DICOM Comprehensive 3D SR (PS3.3 A.35.13) of one result, by TID 1500."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from adapters.dicom.content.common import (
    code_item,
    coding_scheme_identification,
    content_time,
    contributing_equipment,
    derived_dataset,
    dicom_date,
    dicom_time,
    text_of,
    to_part10,
)
from adapters.dicom.content.sr_content import measurement_report
from adapters.dicom.content.sr_reader import claims_of
from adapters.dicom.content.sr_references import evidence_of, evidence_sequence, sop_reference, study_reference
from gateway.case import Reading, Run
from gateway.codes import FHIR_SYSTEMS, Code
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.identity import document_series_uid, document_uid
from gateway.phrases import phrase
from gateway.pipeline import Picture
from gateway.study import Order

SERIES_NUMBER = 9901


class StructuredReportEncoder:
    """`gateway.documents.Encoder` for kind `sr`: one report for each run, the same for every destination."""

    kind = Kind.SR
    per_destination = False

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document:  # noqa: ARG002
        """Raises Permanent where the result points at instances outside its study or outside an image."""
        identity = document_uid(reading.run.run_id, "sr")
        ds = derived_dataset(
            reading, sop_class_uid=Comprehensive3DSRStorage, sop_instance_uid=identity,
            series_instance_uid=document_series_uid(reading.run.run_id, "sr"), modality="SR",
            series_number=SERIES_NUMBER, series_description=phrase(reading.language, "report"))
        evidence = evidence_of(reading)
        _add_document(ds, reading)
        if listed := evidence_sequence(reading.study.study_instance_uid, evidence):
            ds.CurrentRequestedProcedureEvidenceSequence = listed
        ds.update(measurement_report(reading, evidence))
        return Document(Kind.SR, identity, to_part10(ds), str(Comprehensive3DSRStorage))

    def read_back(self, document: Document) -> Claims:
        """Raises Permanent where the bytes are no such report."""
        return claims_of(document.content)


def _add_document(ds: Dataset, reading: Reading) -> None:
    """SR Document General module (PS3.3 C.17.2) and the equipment behind it."""
    made = content_time(reading)
    ds.ContentDate, ds.ContentTime = dicom_date(made), dicom_time(made)
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    if reading.study.order:
        ds.ReferencedRequestSequence = [_request(reading, reading.study.order)]
    if reading.run.predecessor_sr_uid:
        ds.PredecessorDocumentsSequence = [_predecessor(reading.study.study_instance_uid, reading.run)]
    if equipment := contributing_equipment(reading):
        ds.ContributingEquipmentSequence = equipment
    ds.CodingSchemeIdentificationSequence = coding_scheme_identification()


def _request(reading: Reading, order: Order) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = reading.study.study_instance_uid
    item.ReferencedStudySequence = []
    item.AccessionNumber = reading.study.accession_number
    item.PlacerOrderNumberImagingServiceRequest = order.placer_order_number
    item.FillerOrderNumberImagingServiceRequest = order.filler_order_number
    item.RequestedProcedureID = text_of(reading.study.tags, "RequestedProcedureID", 16)
    item.RequestedProcedureDescription = order.requested_procedure_text[:64]
    item.RequestedProcedureCodeSequence = []
    if order.requested_procedure_code and order.requested_procedure_scheme in FHIR_SYSTEMS:
        item.RequestedProcedureCodeSequence = [code_item(Code(
            order.requested_procedure_code, order.requested_procedure_scheme,
            order.requested_procedure_text or order.requested_procedure_code))]
    return item


def _predecessor(study_instance_uid: str, run: Run) -> Dataset:
    series = document_series_uid(run.predecessor_run_id, "sr")
    return study_reference(study_instance_uid, {
        series: [sop_reference(str(Comprehensive3DSRStorage), run.predecessor_sr_uid)]})
