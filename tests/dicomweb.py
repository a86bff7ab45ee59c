"""DICOMweb over a real store, index and database, without engine and readers: what is kept can be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import FastAPI, Request
from pydicom import dcmread

from adapters.database.connection import migrate, open_database
from adapters.database.held import DatabaseHoldings
from adapters.database.index import InstanceIndex
from adapters.database.tables import cases, documents, runs, studies
from adapters.dicom.content.part10 import split
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.tags import TagStream, read_tags
from adapters.dicom.transport import qido, stow, wado
from adapters.files.store import FileObjectStore
from gateway.identity import document_series_uid
from gateway.intake import Gate, ObjectIntake
from gateway.study import Principal, Sender
from tests.core.support import elsewhere

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
JSON = "application/dicom+json"


def anybody(_: Request) -> Principal:
    return Principal("tester")


@dataclass
class Archive:
    """`app`: STOW, QIDO and WADO. `paths`: SOP Instance UID → the kept file."""

    app: FastAPI
    database: sa.Engine
    index: InstanceIndex
    intake: ObjectIntake
    folder: Path
    paths: dict[str, str]

    def keep(self, *objects: bytes) -> None:
        """Part 10 objects, as a sender's; they are in the index when this returns."""
        for content in objects:
            header, dataset = split(content)
            stored = self.intake.take(Sender("dicom", "CT1"), header, [dataset])
            self.paths[str(read_tags(header, [dataset])["SOPInstanceUID"])] = stored.path
        assert self.index.flush()

    def keep_result(self, study: str, content: bytes, kind: str = "sr") -> bytes:
        """A document of the current run of a case of that study, in the run's own series, already filed."""
        with self.database.begin() as connection:
            study_id = connection.execute(sa.select(studies.c.id).where(studies.c.study_instance_uid == study)).scalar()
            case_id = connection.execute(sa.select(cases.c.case_id).where(cases.c.study_id == study_id)).scalar_one()
            run = f"run-of-{case_id}"
            if connection.execute(sa.select(runs.c.run_id).where(runs.c.run_id == run)).scalar() is None:
                connection.execute(sa.insert(runs).values(
                    run_id=run, case_id=case_id, number=1, created_at=NOW, last_instance_id=0, destinations=[]))
                connection.execute(sa.update(cases).where(cases.c.case_id == case_id).values(run_id=run))
            dataset = dcmread(BytesIO(content))
            dataset.SeriesInstanceUID = document_series_uid(run, kind)
            path = self.folder / f"{kind}.dcm"
            dataset.save_as(path)
            connection.execute(sa.insert(documents).values(
                run_id=run, case_id=case_id, kind=kind, identity=dataset.SOPInstanceUID, path=str(path),
                sop_class_uid=dataset.SOPClassUID, created_at=NOW))
        return path.read_bytes()

    def retire(self, study: str) -> None:
        """As retention does: files gone, rows forgotten."""
        from adapters.database.command_rows import CommandRows

        rows = CommandRows(self.database, lambda _: b"")
        with self.database.begin() as connection:
            connection.execute(sa.update(studies).values(receiving=False))
            study_id = connection.execute(sa.select(studies.c.id).where(
                studies.c.study_instance_uid == study)).scalar_one()
        for path in [*rows.retire(study_id, NOW), *rows.pictures(study_id)]:
            Path(path).unlink()
        rows.forget(study_id)

    async def get(self, path: str, accept: str = "*/*", **parameters: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/dicom-web/") as client:
            return await client.get(path, params=parameters or None, headers={"Accept": accept})


@contextmanager
def archive(folder: Path, url: str = "") -> Iterator[Archive]:
    url = url or elsewhere(folder)
    database = open_database(url or f"sqlite:///{folder / 'gateway.sqlite'}")
    migrate(database)
    store = FileObjectStore(folder / "objects", 0)
    index = InstanceIndex(database, "SITE", lambda _: None, store)
    intake = ObjectIntake(store, TagStream, index, Gate())
    holdings = DatabaseHoldings(database, "SITE", lambda path: read_instance(path, read_tags).tags)
    app = FastAPI()
    for router in (stow.build_router(intake, anybody, 2**30), qido.build_router(holdings, anybody),
                   wado.build_router(holdings, anybody)):
        app.include_router(router)
    index.start()
    try:
        yield Archive(app, database, index, intake, folder, {})
    finally:
        index.stop()
        database.dispose()


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """(headers in lower case, body) of each part of a multipart/related answer."""
    boundary = response.headers["content-type"].partition("boundary=")[2].encode()
    assert response.content.endswith(b"--" + boundary + b"--\r\n")
    found = []
    for piece in response.content.split(b"--" + boundary)[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        lines = head.decode().strip().split("\r\n")
        found.append(({k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body[:-2]))
    return found
