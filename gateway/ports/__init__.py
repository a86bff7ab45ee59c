"""The seams to the outside. Adapters implement these; gateway/app joins them; tests fake only these."""

from gateway.ports.control import Commands, Health, Queries
from gateway.ports.incoming import KEPT_BESIDE, Incoming, Outcome, Piece, Stored
from gateway.ports.objects import (
    EcgSource,
    EcgWriter,
    Intake,
    ObjectStore,
    Reception,
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
