"""What a result becomes and where it goes: encoders and destinations. A new one is one line here."""

from __future__ import annotations

from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.segmentation import SegmentationEncoder
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.transport.scu import DicomDestination
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.transport.destination import FhirDestination
from adapters.files.folder_destination import FolderDestination
from adapters.files.json_document import JsonEncoder
from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.transport.destination import Hl7Destination
from gateway import settings as configuration
from gateway.delivery import Destination
from gateway.documents import Encoder
from gateway.settings import Settings


def open_destination(settings: Settings, wanted: configuration.DestinationSettings) -> Destination:
    timeout = settings.delivery.timeout_seconds
    match wanted:
        case configuration.DicomDestination():
            return DicomDestination(wanted, timeout, settings.dicom.ae_title)
        case configuration.Hl7Destination():
            return Hl7Destination(wanted, timeout)
        case configuration.FhirDestination():
            return FhirDestination(wanted, timeout)
        case configuration.FolderDestination():
            return FolderDestination(wanted)


def encoders(settings: Settings) -> list[Encoder]:
    hl7 = {d.name: d for d in settings.destinations if isinstance(d, configuration.Hl7Destination)}
    return [StructuredReportEncoder(), SecondaryCaptureEncoder(), SegmentationEncoder(),
            OruEncoder(hl7, settings.site.facility), DiagnosticReportEncoder(settings.site.identifier_systems),
            JsonEncoder()]
