"""`POST /fhir/Media`: sounds and photographs that come as attachments."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from pydicom import dcmread

from adapters.fhir.content.checks import structure_problems
from adapters.fhir.content.media import attached
from adapters.fhir.transport.router import build_router
from adapters.files.conversion import Conversion
from adapters.files.media_source import MediaConversion
from gateway.errors import Unusable
from tests.fhir_fakes import Intake, MessageLog, Queries, principal_of, served, split, write_ecg, write_media
from tests.sounds import wav


def media(file: bytes = b"", **changes: Any) -> dict[str, Any]:
    data = base64.b64encode(file or wav(np.zeros(4000))).decode()
    form: dict[str, Any] = {
        "resourceType": "Media", "status": "completed", "createdDateTime": "2026-03-14T10:15:00+03:00",
        "identifier": [{"system": "urn:oid:1.2.3.8", "value": "S-1"}],
        "contained": [{"resourceType": "Patient", "id": "p", "birthDate": "1974-02-01", "gender": "female",
                       "identifier": [{"system": "urn:oid:1.2.3.4", "value": "P-1001"}]}],
        "subject": {"reference": "#p"}, "bodySite": {"text": "posterior left lower"},
        "content": {"contentType": "audio/wav", "data": data, "title": "breath.wav"}}
    return {name: value for name, value in (form | changes).items() if value is not None}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    queries = Queries([])
    log = MessageLog(queries)
    app = FastAPI()
    app.include_router(build_router(queries, log, Intake(), write_ecg, "SITE", principal_of, 500_000, split=split,
                                    kept=log.kept, media_writer=write_media))
    with served(app) as base, httpx.Client(base_url=base, trust_env=False) as found:
        yield found


def post(client: httpx.Client, resource: Any) -> httpx.Response:
    return client.post("/fhir/Media", content=json.dumps(resource), headers={"Content-Type": "application/fhir+json"})


def test_a_sound_is_taken_once_and_read_again_without_its_bytes(client: httpx.Client) -> None:
    first, again = post(client, media()), post(client, media())
    assert (first.status_code, again.status_code) == (201, 200)
    kept = client.get(f"/fhir/Media/{first.json()['id']}").json()
    assert kept == first.json() == again.json()
    assert "data" not in kept["content"]
    assert kept["content"]["size"] == len(wav(np.zeros(4000)))
    assert not structure_problems(kept)
    other = post(client, media(wav(np.ones(4000) / 2)))
    assert other.status_code == 409


@pytest.mark.parametrize(("change", "status", "element"), [
    ({"status": "in-progress"}, 422, "Media.status"),
    ({"subject": None}, 422, "Media.subject"),
    ({"createdDateTime": "2026-03-14"}, 422, "Media.createdDateTime"),
    ({"content": {"url": "http://elsewhere/breath.wav"}}, 422, "Media.content.data"),
    ({"content": {"data": "AAA"}}, 400, "Media.content.data"),
    ({"content": {"data": "AAAA", "size": 7}}, 422, "Media.content.size"),
    ({"content": {"data": "AAAA", "hash": "AAAA"}}, 422, "Media.content.hash"),
    ({"volume": 11}, 400, "Media.volume")])
def test_refusals_name_the_element(client: httpx.Client, change: dict[str, Any], status: int, element: str) -> None:
    answer = post(client, media(**change))
    assert answer.status_code == status
    assert answer.json()["issue"][0]["expression"] == [element]


def test_what_was_never_sent_is_not_there(client: httpx.Client) -> None:
    assert client.get("/fhir/Media/nothing").status_code == 404


def test_the_capability_statement_tells_of_it(client: httpx.Client) -> None:
    told = {r["type"]: r for r in client.get("/fhir/metadata").json()["rest"][0]["resource"]}
    assert {"code": "create"} in told["Media"]["interaction"]


def test_a_sound_becomes_an_object_of_its_patient() -> None:
    sound = wav(np.sin(np.arange(8000) / 9) / 3)
    digest = base64.b64encode(hashlib.sha1(sound, usedforsecurity=False).digest()).decode()
    told = attached(media(sound, content={"data": base64.b64encode(sound).decode(), "hash": digest}), "SITE",
                    "A77", "1.2.3")
    (part10,) = MediaConversion(Conversion())(told.source)
    (again,) = MediaConversion(Conversion())(told.source)
    ds = dcmread(io.BytesIO(part10))
    assert part10 == again
    assert (ds.PatientID, ds.IssuerOfPatientID, ds.PatientSex, ds.PatientAge) == ("P-1001", "urn:oid:1.2.3.4", "F",
                                                                                 "052Y")
    assert (ds.AccessionNumber, ds.StudyInstanceUID, ds.Modality) == ("A77", "1.2.3", "AU")
    assert ds.AcquisitionContextSequence[0].TextValue == "posterior left lower"
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_an_attachment_of_another_kind_is_refused() -> None:
    with pytest.raises(Unusable, match="no WAV or FLAC"):
        MediaConversion(Conversion())(attached(media(b"%PDF-1.7"), "SITE").source)
