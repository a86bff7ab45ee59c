"""Pages, API, FHIR and DICOMweb: one application over the other parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from adapters.database.change import ChangeToken
from adapters.database.feedback import FeedbackRows
from adapters.database.library import open_library
from adapters.database.operations import DatabaseOperations
from adapters.database.probe import probe
from adapters.database.recordings import kept_answer
from adapters.database.saved_views import DatabaseSavedViews
from adapters.database.viewing import CaseBackground
from adapters.dicom.content.audio_read import load_audio
from adapters.dicom.content.part10 import split
from adapters.dicom.content.slice_pixels import read_pixels
from adapters.dicom.content.sr_tree import tree_of_report
from adapters.dicom.content.tags import identity
from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from adapters.dicom.transport.qido import build_router as qido_router
from adapters.dicom.transport.stow import build_router as stow_router
from adapters.dicom.transport.wado import build_router as wado_router
from adapters.dicom.transport.workitems_rs import build_router as workitems_router
from adapters.fhir.transport.router import build_router as fhir_router
from adapters.files.batch_folder import BatchFolder
from adapters.files.conversion import Conversion
from adapters.files.media_source import MediaConversion
from adapters.files.scratch import ScratchFolder
from adapters.hl7.content.message_tree import tree_of_message
from adapters.inference.repository import model_card
from adapters.web.app import build_app
from adapters.web.batch_work import BatchWork
from adapters.web.commitments import router as commitments_router
from adapters.web.library import library_routers
from adapters.web.pages_case import CaseParts
from adapters.web.principal import principal_of
from adapters.web.server import HttpServer
from adapters.web.uploads import Door
from gateway.app.parts import Foundation
from gateway.app.readers import modalities_of
from gateway.app.reading import Reading
from gateway.app.receiving import Receiving
from gateway.commands import GatewayCommands, Predictor
from gateway.delivery import Kind
from gateway.explaining import Explained, explain, study_alone
from gateway.health import PartsHealth
from gateway.intake import instance_of
from gateway.library import Library
from gateway.operations import Console, Disk
from gateway.ports import Outcome, Stored
from gateway.study import Instance, Sender
from gateway.viewing import Viewer
from gateway.work import now


class Web:
    """The HTTP server and what only it needs."""

    def __init__(self, base: Foundation, reading: Reading, receiving: Receiving) -> None:
        settings = base.settings
        self._base, self._reading, self._receiving = base, reading, receiving
        self.operations = DatabaseOperations(base.database)
        self.health = PartsHealth(self._checks())
        predictor = Predictor(settings, base.read_tags, base.pipelines, base.fulfilment, base.inference,
                              ScratchFolder(settings.data_dir / "scratch").place)
        commands = GatewayCommands(base.rows, reading.work, reading.engine, predictor)
        library = open_library(base.database, settings.site.facility, reading.work.plan, base.store, base.files,
                               reading.engine)
        door = self._door(library)
        self.batches = BatchWork(BatchFolder(settings.data_dir / "batches"), settings.batch, door, commands)
        routers = self._protocols() + library_routers(
            library, FeedbackRows(base.database), base.queries, self.batches, ZoneInfo(settings.site.timezone))
        app = build_app(base.queries, commands, self.health, base.inference, door, settings, routers,
                        partial(model_card, settings.model_repository, base.inference.models), self._explain_objects,
                        self._console(), self._case_parts(), base.instruments.registry)
        self.http = HttpServer(app, settings.http, app.state.changes.close)

    def _door(self, library: Library) -> Door:
        """Through which uploads come in."""
        base = self._base
        def known(uids: Sequence[str]) -> Sequence[str]:
            self._receiving.index.flush()
            return library.studies.ids_of(uids)

        def held(header: bytes, dataset: Sequence[bytes]) -> bool:
            tags = base.read_tags(header, dataset)
            self._receiving.index.flush()
            there = self._receiving.holdings.instances(tags["StudyInstanceUID"], instance=tags["SOPInstanceUID"])
            return any(one.tags.get("PatientID") == tags.get("PatientID") for one in there)

        return Door(self._receiving.intake, split, self._conversion(),
                    base.settings.http.maximum_upload_bytes, identity, known, held)

    def _conversion(self) -> Conversion:
        base = self._base
        return Conversion(ZoneInfo(base.settings.site.timezone), modalities_of(base.settings, base.pipelines))

    def _protocols(self) -> list[APIRouter]:
        """FHIR and DICOMweb."""
        base, receiving = self._base, self._receiving
        site, limit = base.settings.site, base.settings.http.maximum_upload_bytes
        return [
            fhir_router(base.queries, receiving.messages, receiving.intake, write_ecg, site.facility, principal_of,
                        limit, split=split, kept=partial(kept_answer, base.database),
                        media_writer=MediaConversion(self._conversion()),
                        systems=site.identifier_systems),
            stow_router(receiving.intake, principal_of, limit, receiving.departures.left),
            qido_router(receiving.holdings, principal_of), wado_router(receiving.holdings, principal_of),
            workitems_router(receiving.workitems, principal_of), commitments_router(self._reading.commitments.shown)]

    def _case_parts(self) -> CaseParts:
        base = self._base
        background = CaseBackground(base.database)
        return CaseParts(Viewer(background, read_pixels, load_ecg, base.files.get, load_audio), background,
                         FeedbackRows(base.database), {Kind.SR: tree_of_report, Kind.ORU: tree_of_message})

    def _console(self) -> Console:
        base = self._base
        return Console(DatabaseSavedViews(base.database), self.operations, ChangeToken(base.database),
                       lambda: Disk(base.store.free_bytes(), base.store.used_share()), base.latencies.told)

    def _explain_objects(self, objects: Iterable[bytes]) -> Explained:
        base = self._base
        found = [self._explicable(part10) for part10 in objects]
        study = [instance for instance in found if instance.study_instance_uid == found[0].study_instance_uid]
        return explain(study_alone(base.settings.site.facility, study), base.settings.routes, base.pipelines)

    def _explicable(self, part10: bytes) -> Instance:
        header, dataset = split(part10)
        stored = Stored("", "", len(part10), Outcome.STORED)
        return instance_of(self._base.read_tags(header, [dataset]), stored, Sender("upload", ""), now())

    def _checks(self) -> dict[str, Callable[[], str]]:
        base, clock = self._base, self._reading.clock
        models = sorted({m for r in base.settings.routes for m in base.pipelines[r.pipeline].models})

        def model_ready(name: str) -> str:
            base.inference.release(name)
            return "ok"

        return {
            "database": lambda: probe(base.database),
            "disk": lambda: base.gate.reason or "ok",
            "assembly": lambda: "ok" if clock.alive() else "the assembly clock has stopped",
            **{f"model {name}": partial(model_ready, name) for name in models}}
