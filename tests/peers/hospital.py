"""What stands around a gateway in the end-to-end tests: RIS and EHR; and the studies that are sent."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request, Response
from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

from adapters.dicom.content import part10
from adapters.dicom.content.tags import read_tags
from adapters.dicom.content.waveform_write import write_ecg
from adapters.fhir.transport.receiver import build_receiver
from adapters.files.wfdb_source import read_wfdb
from adapters.web.server import HttpServer
from gateway.ports import EcgSource
from gateway.settings import HttpSettings
from gateway.study import Patient
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import RATE, synthesise
from tests.peers import dcmtk

RECORDED = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
PTB_XL = Path(__file__).parents[2].parent / "shared" / "data" / "ptb-xl" / "records500"


_signal = functools.cache(synthesise)


def ecg(name: str, *, kind: str = "normal", seed: int = 1, study: str = "", accession: str = "",
        patient: Patient | None = None, minute: int = 0) -> bytes:
    """A synthetic ECG as a Part 10 object; `study`: joins the object to this Study Instance UID."""
    who = patient or Patient(f"ID-{name}", "HOSP", f"Secret{name}^Person", "19500101", "F")
    return write_ecg(EcgSource(("test", name), who, _signal(kind, seed), RATE, LEADS,
                               RECORDED + timedelta(minutes=minute), accession, study_instance_uid=study))


def real_ecgs() -> list[bytes]:
    """Three records of PTB-XL as DICOM; skips where the data is not here."""
    found = sorted(PTB_XL.glob("*/*.hea"))[:300:100]
    if len(found) < 3:
        pytest.skip("../shared/data/ptb-xl is not here")
    made = []
    for number, header in enumerate(found):
        source = read_wfdb(header)
        who = replace(source.patient, name=f"Real^Person{number}", issuer="HOSP")
        made.append(write_ecg(replace(source, patient=who, accession_number=f"REAL{number}")))
    return made


def tags(content: bytes) -> dict[str, Any]:
    header, dataset = part10.split(content)
    return dict(read_tags(header, [dataset]))


def study_of(content: bytes) -> str:
    return str(tags(content)["StudyInstanceUID"])


def written(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(content)
        paths.append(path)
    return paths


def storescu(port: int, *paths: Path) -> None:
    """DCMTK's sender, one association; everything has to be taken."""
    done = dcmtk.run("storescu", "-R", "-aec", "TRIAGE", "-aet", "SCANNER", "127.0.0.1", str(port), *paths)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Ehr:
    """`resources`: resource type → id → resource. `documents`: the bytes of each transaction that changed something.

    While `status` is set, it answers with nothing but that.
    """

    port: int
    resources: dict[str, dict[str, dict[str, Any]]]
    documents: list[bytes]
    status: int = 0


@contextmanager
def ehr(port: int = 0) -> Iterator[Ehr]:
    """A strict FHIR server in memory."""
    receiver = build_receiver()
    server = HttpServer(receiver, HttpSettings(port=port))
    told = Ehr(0, receiver.state.resources, receiver.state.documents)

    @receiver.middleware("http")
    async def refuse(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        return Response(status_code=told.status) if told.status else await go_on(request)

    server.start()
    told.port = server.port
    try:
        yield told
    finally:
        server.stop()


class Pacs:
    """A storage SCP of pynetdicom that answers `status`. `received`: data sets it took, by SOP Instance UID."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        self.received: dict[str, list[Dataset]] = defaultdict(list)
        self.order: list[str] = []
        entity = AE(ae_title="PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = int(self._server.socket.getsockname()[1])

    def __enter__(self) -> Pacs:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        if self.status == 0:
            dataset = event.dataset
            self.received[dataset.SOPInstanceUID].append(dataset)
            self.order.append(str(dataset.Modality))
        return self.status


def pynetdicom(pacs: Pacs, name: str = "PACS") -> dict[str, Any]:
    return {"name": name, "type": "dicom", "host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"}


def destinations(ris: int = 0, ehr: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if ris:
        found.append({"name": "RIS", "type": "hl7", "host": "127.0.0.1", "port": ris, "receiving_application": "RIS"})
    if ehr:
        found.append({"name": "EHR", "type": "fhir", "url": f"http://127.0.0.1:{ehr}/fhir"})
    return found
