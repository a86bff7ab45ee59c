"""Real studies through the whole gateway: DCMTK sends, Orthanc is the PACS and forwards everything it gets back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhirclient.models.bundle import Bundle as ClientBundle
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from adapters.database.tables import instances
from adapters.dicom.content import sr_reader
from adapters.dicom.transport import tools
from adapters.fhir.content import claims as fhir_claims
from adapters.hl7.content import oru_claims
from gateway.documents import Claims
from tests.hl7_ris import Ris
from tests.peers import hospital
from tests.peers.gateway_process import ROUTES, GatewayProcess, await_that, gateway
from tests.peers.orthanc import Orthanc, destination, orthanc
from tests.real_studies import CHEST_CT

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.data]
CT_ROUTE = {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "chest_ct"}


def sent_and_forwarded(tmp_path: Path, batches: Sequence[Sequence[Path]], routes: list[dict[str, object]]) -> None:
    """Send each study, and check everything that the issue asks of the result."""
    running = gateway(tmp_path / "gateway", start=False, routes=routes)
    with Ris() as ris, hospital.ehr() as ehr, running as g, orthanc(tmp_path / "pacs", forward_to=g.dicom_port) as pacs:
        g.configure(destinations=[destination(pacs.port), *hospital.destinations(ris.port, ehr.port)])
        g.start()
        for paths in batches:
            hospital.storescu(g.dicom_port, *paths)
        items = g.await_delivered(len(batches), 120)
        objects = sum(map(len, batches))
        await_forwarded(pacs, g, 2 * len(batches), objects)
        for item in items:
            one_study(tmp_path, g, pacs, item)
        assert len(g.rows(instances)) == objects
        assert len(g.worklist()) == len(batches)
        assert len(ris.received) == len(batches)
        assert len(ehr.documents) == len(batches)


def await_forwarded(pacs: Orthanc, g: GatewayProcess, outputs: int, objects: int) -> None:
    """Every output has come back to the gateway, and none of them is kept among what was received."""
    await_that(lambda: pacs.forwarded() == outputs, 60, "Orthanc forwarded everything", pacs.jobs)
    await_that(lambda: len(list((g.data / "instances").rglob("*.dcm"))) == objects, 30, "forwarded copies are gone")


def one_study(tmp_path: Path, g: GatewayProcess, pacs: Orthanc, item: dict[str, object]) -> None:
    study = str(item["study_instance_uid"])
    case = g.get(f"/api/cases/{item['case_id']}")
    assert len(case["runs"]) == 1
    held = pacs.held(study)
    assert sorted(tags["Modality"] for tags in held.values()) == ["OT", "SR"]
    for tags in held.values():
        path = pacs.file(tags, tmp_path)
        for judgement in (tools.dciodvfy(path), tools.dsrdump(path) if tags["Modality"] == "SR" else None):
            assert judgement is None or judgement.problems == ()
        if tags["Modality"] == "SR":
            agreed(g, case, sr_reader.claims_of(path.read_bytes()))


def agreed(g: GatewayProcess, case: dict[str, object], report: Claims) -> None:
    """ORU, FHIR bundle, worklist and SR tell the same; others' software reads the first two."""
    assert report.findings is not None
    oru = g.document(str(case["case_id"]), "oru")
    message = parse_message(oru.decode().replace("\n", "\r"), validation_level=VALIDATION_LEVEL.TOLERANT)
    assert message.validate()
    fhir = g.document(str(case["case_id"]), "diagnostic_report")
    Bundle.model_validate(json.loads(fhir))
    ClientBundle(json.loads(fhir), strict=True)
    told = [report, oru_claims.claims(oru), fhir_claims.claims_of(fhir)]
    assert {c.verdict for c in told} == {case["verdict"]}
    assert {c.study_instance_uid for c in told} == {case["study_instance_uid"]}
    for claim in told:
        assert claim.findings is not None
        assert claim.findings.keys() == report.findings.keys()
        for label, (probability, present) in report.findings.items():
            assert claim.findings[label] == (pytest.approx(probability, abs=0.0011), present)
    assert {c.accession_number for c in told} == {case["accession_number"]}


def test_real_ecgs(tmp_path: Path) -> None:
    made = hospital.real_ecgs()
    paths = hospital.written(tmp_path / "sent", made)
    sent_and_forwarded(tmp_path, [[path] for path in paths], [*ROUTES])


def test_a_real_chest_ct(tmp_path: Path) -> None:
    files = sorted(CHEST_CT.glob("*.dcm"))
    if not files:
        pytest.skip("../shared/data/chest-ct-lungdx is not here")
    sent_and_forwarded(tmp_path, [files], [CT_ROUTE])
