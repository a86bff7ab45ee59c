"""FhirDestination for the contract suite: the strict receiver as the EHR, over HTTP on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Response
from pydantic import SecretStr

from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.transport.destination import FhirDestination
from adapters.fhir.transport.receiver import build_receiver
from gateway.delivery import Document
from gateway.settings import FhirDestination as Configured
from tests.builders import patient, reading
from tests.fhir_fakes import served


def make_document() -> Document:
    told = reading("ct", study_fields={"of": patient(name="Secret^Patient")})
    document = DiagnosticReportEncoder().encode(told, None, "")
    assert document
    return document


def configured(url: str, timeout: float = 10) -> FhirDestination:
    told = Configured(name="ehr", type="fhir", url=url, bearer_token=SecretStr("SecretToken"))
    return FhirDestination(told, timeout)


@contextmanager
def running() -> Iterator[tuple[FhirDestination, Callable[[], list[bytes]], Callable[[], Document]]]:
    """The receiver keeps the bytes of what changed something in it."""
    app = build_receiver()
    with served(app) as base:
        yield configured(f"{base}/fhir"), lambda: list(app.state.documents), make_document


def unreachable() -> FhirDestination:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return configured(f"http://127.0.0.1:{port}/fhir")


@contextmanager
def refusing() -> Iterator[tuple[FhirDestination, Callable[[], Document]]]:
    """A server that finds the resource unusable, and repeats the patient's name in saying so."""
    app = FastAPI()

    @app.post("/fhir")
    def refuse() -> Response:
        outcome = (b'{"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "business-rule",'
                   b'"diagnostics": "Patient Secret is unknown", "expression": ["Secret Patient"]}]}')
        return Response(outcome, 422, media_type="application/fhir+json")

    with served(app) as base:
        yield configured(f"{base}/fhir"), make_document


@contextmanager
def silent() -> Iterator[FhirDestination]:
    """A peer whose kernel connects and which never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield configured(f"http://127.0.0.1:{listener.getsockname()[1]}/fhir", 0.3)
