"""The seams to the outside. Adapters implement these; gateway/app joins them; tests fake only these."""

from gateway.ports.control import Commands, Health, Queries
from gateway.ports.objects import (
    KEPT_BESIDE,
    EcgSource,
    EcgWriter,
    Incoming,
    Intake,
    ObjectStore,
    Outcome,
    Piece,
    Reception,
    Stored,
    TagReader,
    TagStream,
    TagStreamer,
)
from gateway.ports.reading import Inference, Loader
from gateway.ports.together import Kept, Received, ReceptionTogether, Together
from gateway.ports.views import CaseDetail, CaseView, DeliveryView, Page, ReportQuery, StoredDocument

__all__ = [
    "KEPT_BESIDE", "CaseDetail", "CaseView", "Commands", "DeliveryView", "EcgSource", "EcgWriter", "Health",
    "Incoming", "Inference", "Intake", "Kept", "Loader", "ObjectStore", "Outcome", "Page", "Piece", "Queries",
    "Received", "Reception", "ReceptionTogether", "ReportQuery", "Stored", "StoredDocument", "TagReader", "TagStream",
    "TagStreamer", "Together",
]
