"""Garbage on all three ports of a running gateway: refused in the protocol's own words; the next good study passes."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage

from adapters.database.tables import instances
from adapters.dicom.content import part10
from adapters.dicom.content.common import to_part10
from adapters.dicom.content.upper_layer import Context, associate_request, command_pdus, dataset_pdus, encode_command
from adapters.dicom.transport.association import Association, Peer, Response
from adapters.hl7.content.framing import frame
from gateway.study import Patient
from tests.fhir_fakes import service_request
from tests.hl7_samples import Client, order, segments
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, await_that, gateway

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ECG = TwelveLeadECGWaveformStorage
WHO = Patient("SECRETID77", "HOSP", "Geheim^Gerda", "19410203", "F")
ACCESSION = "SECRETACC88"
SECRETS = ("SECRETID77", "Geheim", "Gerda", "19410203", "SECRETACC88", "P-1001", "Иванова", "Muster", "ACC-77", "ACC-9")
FHIR = {"Content-Type": "application/fhir+json"}
LIMIT = 400_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, hospital.Pacs]]:
    folder = tmp_path_factory.mktemp("garbage")
    with hospital.Pacs() as pacs:
        ports = {name: {"port": hospital.dcmtk.free_port()} for name in ("dicom", "mllp", "http")}
        ports["mllp"] |= {"maximum_message_bytes": LIMIT}
        ports["http"] |= {"maximum_upload_bytes": LIMIT}
        with gateway(folder, destinations=[hospital.pynetdicom(pacs)], **ports) as g:
            yield g, pacs


@pytest.fixture
def g(running: tuple[GatewayProcess, hospital.Pacs]) -> GatewayProcess:
    return running[0]


def garbage() -> list[bytes]:
    """Random bytes, a TLS ClientHello, an HTTP request, nothing at all, and a lone first byte of each protocol."""
    chance = random.Random(5)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="pacs.example")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return [chance.randbytes(4096), outgoing.read(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"\x01", b"\x0b", b"G"]


@pytest.mark.parametrize("number", range(7))
def test_noise_on_every_port_harms_nobody(g: GatewayProcess, number: int) -> None:
    for port in (g.dicom_port, g.mllp_port, int(g.settings["http"]["port"])):
        with socket.create_connection(("127.0.0.1", port), 10) as connection, suppress(OSError):
            connection.sendall(garbage()[number])
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(20)
            while connection.recv(65536):
                pass
    assert hospital.dcmtk.run("echoscu", "-aec", "TRIAGE", "127.0.0.1", str(g.dicom_port)).returncode == 0
    assert g.ready()


# ---------------------------------------------------------------- DICOM


def good() -> Dataset:
    return dcmread(BytesIO(hospital.ecg("good", patient=WHO, accession=ACCESSION)))


def stored(g: GatewayProcess, dataset: bytes, uid: str) -> Response:
    with Association(Peer("127.0.0.1", g.dicom_port, "TRIAGE", "TEST"), [(ECG, ExplicitVRLittleEndian)]) as association:
        return association.store(ECG, uid, ExplicitVRLittleEndian, dataset)


def refused(g: GatewayProcess, dataset: bytes, uid: str = "1.2.3.4") -> str:
    """The comment on a status of failure; nothing of it is kept."""
    before = len(g.rows(instances))
    response = stored(g, dataset, uid)
    assert response.status >> 12 in (0xA, 0xC), hex(response.status)
    assert len(g.rows(instances)) == before
    assert not any(secret in response.comment for secret in SECRETS)
    return response.comment


def test_an_object_without_study_instance_uid_is_refused_by_name(g: GatewayProcess) -> None:
    dataset = good()
    del dataset.StudyInstanceUID
    told = refused(g, part10.split(to_part10(dataset))[1], dataset.SOPInstanceUID)
    assert "StudyInstanceUID" in told.replace(" ", "")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_object_is_refused(g: GatewayProcess, share: float) -> None:
    content = hospital.ecg("cut", patient=WHO)
    whole = part10.split(content)[1]
    told = refused(g, whole[:int(len(whole) * share)], hospital.tags(content)["SOPInstanceUID"])
    assert any(word in told.lower() for word in ("trunc", "cut", "end", "short", "missing", "damaged")), told


def test_a_data_set_of_noise_is_refused(g: GatewayProcess) -> None:
    assert len(refused(g, random.Random(6).randbytes(5000))) > 10


def test_a_sender_that_breaks_off_leaves_nothing_behind(g: GatewayProcess) -> None:
    before = len(list((g.data / "instances").rglob("*")))
    whole = part10.split(hospital.ecg("broken", patient=WHO))[1]
    command: dict[int, int | str] = {0x00000002: ECG, 0x00000100: 1, 0x00000110: 1, 0x00000700: 0, 0x00000800: 0,
                                     0x00001000: "1.2.3.5"}
    with socket.create_connection(("127.0.0.1", g.dicom_port), 10) as connection:
        connection.sendall(associate_request("TEST", "TRIAGE", [Context(1, ECG, (ExplicitVRLittleEndian,))]))
        assert connection.recv(65536)[0] == 2
        for pdu in command_pdus(1, encode_command(command), 16384):
            connection.sendall(pdu)
        for pdu in list(dataset_pdus(1, whole, 16384))[:-1]:
            connection.sendall(pdu)
    await_that(lambda: len(list((g.data / "instances").rglob("*"))) == before, 20, "the scratch file is gone")


# ---------------------------------------------------------------- HL7


def answered(g: GatewayProcess, message: bytes) -> tuple[str, str, str]:
    """(MSA-1, ERR-2 as SEG^1^N, user message) of the answer."""
    with Client(g.mllp_port) as client:
        client.send(frame(message))
        (answer,) = client.answers()
    found = {line[0]: line for line in segments(answer)}
    assert not any(secret in answer.decode() for secret in SECRETS)
    return found["MSA"][1], found["ERR"][2], found["ERR"][8]


def test_a_message_without_control_id_is_refused_by_field(g: GatewayProcess) -> None:
    code, place, why = answered(g, order(control=""))
    assert code in ("AR", "AE")
    assert place.startswith("MSH^1^10")
    assert len(why) > 10


def test_a_message_too_long_is_refused_while_the_next_passes(g: GatewayProcess) -> None:
    code, _, why = answered(g, order(extra=["NTE|1||" + "x" * LIMIT]))
    assert code == "AR"
    assert str(LIMIT) in why


def test_no_message_at_all_is_refused(g: GatewayProcess) -> None:
    assert answered(g, b"PID|1||Geheim\r")[0] == "AR"


# ---------------------------------------------------------------- FHIR and HTTP


def posted(g: GatewayProcess, path: str, **what: Any) -> httpx.Response:
    return httpx.post(g.url + path, headers=FHIR, timeout=20, trust_env=False, **what)


def test_a_service_request_with_a_wrong_status_is_refused_by_element(g: GatewayProcess) -> None:
    answer = posted(g, "/fhir/ServiceRequest", json=service_request(status="urgent"))
    assert answer.status_code in (400, 422)
    (issue,) = answer.json()["issue"]
    assert "ServiceRequest.status" in issue["expression"]
    assert len(issue["diagnostics"]) > 10
    assert not any(secret in answer.text for secret in SECRETS)


@pytest.mark.parametrize(("body", "status"), [(b"{", {400}), (b"\xff\x00", {400}), (b"x" * (LIMIT + 1), {413})])
def test_no_resource_at_all_is_refused(g: GatewayProcess, body: bytes, status: set[int]) -> None:
    answer = posted(g, "/fhir/ServiceRequest", content=body)
    assert answer.status_code in status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_an_upload_of_noise_is_refused(g: GatewayProcess) -> None:
    files = {"file": ("x.dcm", random.Random(7).randbytes(3000))}
    answer = httpx.post(f"{g.url}/api/predict", files=files, timeout=20, trust_env=False)
    assert answer.status_code in (400, 415, 422)
    assert len(answer.json()["detail"]) > 10


# ---------------------------------------------------------------- after all that


def test_the_next_good_study_passes_and_nobody_is_named_in_the_log(
        running: tuple[GatewayProcess, hospital.Pacs], tmp_path: Path) -> None:
    g, pacs = running
    with Client(g.mllp_port) as client:
        client.send(frame(order("GOOD1")))
        assert segments(client.answers()[0])[1][:3] == ["MSA", "AA", "GOOD1"]
    assert posted(g, "/fhir/ServiceRequest", json=service_request()).status_code == 201
    hospital.storescu(g.dicom_port, *hospital.written(tmp_path, [hospital.ecg("good", patient=WHO,
                                                                            accession=ACCESSION)]))
    (item,) = g.await_delivered(1)
    assert (item["patient_id"], item["accession_number"]) == (WHO.patient_id, ACCESSION)
    assert sorted(pacs.order) == ["OT", "SR"]
    log = g.log.read_text(encoding="utf-8")
    assert [secret for secret in SECRETS if secret in log] == []
    assert "Traceback" not in log
