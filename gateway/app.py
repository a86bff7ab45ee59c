"""The composition root: the only place that knows adapters and pipelines at once."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from apscheduler.schedulers.background import BackgroundScheduler

import pipelines
from adapters.database.command_rows import CommandRows
from adapters.database.connection import database_url, migrate, open_database
from adapters.database.engine import DbosEngine
from adapters.database.index import InstanceIndex
from adapters.database.messages import DatabaseMessageLog
from adapters.database.probe import probe
from adapters.database.queries import DatabaseQueries
from adapters.dicom.content.part10 import split
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.tags import read_tags
from adapters.dicom.content.volume import load_volume
from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import DicomDestination
from adapters.dicom.transport.stow import build_router as stow_router
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.transport.destination import FhirDestination
from adapters.fhir.transport.router import build_router as fhir_router
from adapters.files.documents import DocumentFolder
from adapters.files.folder_destination import FolderDestination
from adapters.files.json_document import JsonEncoder
from adapters.files.lock import DataDirectoryLock
from adapters.files.store import FileObjectStore
from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.transport.destination import Hl7Destination
from adapters.hl7.transport.server import MllpServer
from adapters.inference.opening import open_inference
from adapters.web.app import build_app
from adapters.web.principal import principal_of
from adapters.web.server import HttpServer
from gateway.clockwork import AssemblyClock
from gateway.commands import GatewayCommands, Predictor
from gateway.documents import Encoder
from gateway.errors import ConfigurationError
from gateway.health import PartsHealth
from gateway.housekeeping import Housekeeping, guarded
from gateway.intake import Gate, ObjectIntake
from gateway.pipeline import Ecg, Pipeline, Volume
from gateway.planning import Planner
from gateway.publishing import Publisher
from gateway.reading import Fulfilment
from gateway.routing import extra_keywords
from gateway import settings as configuration
from gateway.settings import Settings
from gateway.study import Instance
from gateway.work import Parts, Work

log = structlog.get_logger()


def discover_pipelines() -> dict[str, Pipeline]:
    """Every package under pipelines/ that exports PIPELINE: a new kind of study edits no list."""
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules(pipelines.__path__):
        if module.ispkg:
            pipeline: Pipeline | None = getattr(importlib.import_module(f"pipelines.{module.name}"), "PIPELINE", None)
            if pipeline is not None:
                found[pipeline.name] = pipeline
    return found


def open_destination(settings: configuration.DestinationSettings, timeout: float) -> Destination:
    match settings:
        case configuration.DicomDestination():
            return DicomDestination(settings, timeout)
        case configuration.Hl7Destination():
            return Hl7Destination(settings, timeout)
        case configuration.FhirDestination():
            return FhirDestination(settings, timeout)
        case configuration.FolderDestination():
            return FolderDestination(settings)


class PixelsAndSamples:
    """Implements gateway.ports.Loader."""

    def load_volume(self, instances: tuple[Instance, ...]) -> Volume:
        return load_volume(instances)

    def load_ecg(self, instances: tuple[Instance, ...]) -> Ecg:
        return load_ecg(instances)


def fingerprint(model_repository: Path, model: str) -> str:
    """Hash of config.pbtxt, which names the model file's own hash, its thresholds and its calibration."""
    try:
        return hashlib.sha256((model_repository / model / "config.pbtxt").read_bytes()).hexdigest()
    except OSError as error:
        raise NotReady(f"model {model} is not in {model_repository}") from error


def model_card(model_repository: Path, known: Callable[[], tuple[str, ...]], model: str) -> str | None:
    """MODEL.md of a model of the repository."""
    card = model_repository / model / "MODEL.md"
    return card.read_text(encoding="utf-8") if model in known() and card.is_file() else None


@contextmanager
def scratch_file(header: bytes, dataset: Sequence[bytes]) -> Iterator[str]:
    """One object in a file that is gone afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as stream:
        stream.writelines([header, *dataset])
        stream.flush()
        yield stream.name


def encoders(settings: Settings) -> list[Encoder]:
    hl7 = {d.name: d for d in settings.destinations if isinstance(d, configuration.Hl7Destination)}
    return [StructuredReportEncoder(), SecondaryCaptureEncoder(), OruEncoder(hl7, settings.site.facility),
            DiagnosticReportEncoder(), JsonEncoder()]


class Gateway:
    """One running gateway: all parts, started in the order in which they need each other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = DataDirectoryLock(settings.data_dir)
        url = database_url(settings.database_url, settings.data_dir)
        self._database = open_database(url)
        migrate(self._database)
        self._gate = Gate()
        self._files = DocumentFolder(settings.data_dir / "documents")
        self._store = FileObjectStore(settings.data_dir / "instances", settings.storage.free_floor_bytes)
        self._pipelines = discover_pipelines()
        check_routes(settings, self._pipelines)
        self._inference = open_inference(settings.inference, settings.model_repository)
        self._fulfilment = Fulfilment(PixelsAndSamples(), self._inference)
        self._destinations = {d.name: open_destination(d, settings.delivery.timeout_seconds)
                              for d in settings.destinations}
        self._rows = CommandRows(self._database, self._files.get)
        self._work = self._build_work()
        self._engine = DbosEngine(self._work, url=engine_url(url, settings.data_dir),
                                  executor_id=self._lock.executor_id, workers=settings.engine.workers,
                                  destinations=list(self._destinations))
        self._work.use(self._engine)
        self._clock = AssemblyClock(self._work)
        self._read_tags = partial(read_tags, extra_keywords=extra_keywords(settings.routes))
        self._index = InstanceIndex(self._database, settings.site.facility, lambda _: self._clock.poke(),
                                    self._store.delete)
        self._intake = ObjectIntake(self._store, self._read_tags, self._index, self._gate)
        self._messages = DatabaseMessageLog(self._database, self._work.order_changed)
        self._housekeeping = Housekeeping(settings, self._rows, self._store, self._gate, self._lock.executor_id)
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self.dicom = DicomServer(settings.dicom, self._intake)
        self.mllp = MllpServer(settings.mllp, settings.site.facility, self._messages, settings.site.timezone)
        self.http = HttpServer(self._build_web(), settings.http)

    def _build_work(self) -> Work:
        settings = self.settings
        publisher = Publisher(encoders(settings), self._destinations, self._files,
                              lambda path: Path(path).read_bytes())
        planner = Planner(settings.routes, self._pipelines, list(self._destinations),
                          partial(fingerprint, settings.model_repository))
        return Work(Parts(self._rows, planner, self._pipelines, self._fulfilment, self._inference, publisher,
                          self._destinations), settings)

    def _build_web(self) -> FastAPI:
        settings = self.settings
        queries = DatabaseQueries(self._database, self._files.get)
        predictor = Predictor(settings, self._read_tags, self._pipelines, self._fulfilment, self._inference,
                              scratch_file)
        commands = GatewayCommands(self._rows, self._work, self._engine, predictor)
        health = PartsHealth(self._checks())
        limit = settings.http.maximum_upload_bytes
        routers = [
            fhir_router(queries, self._messages, self._intake, write_ecg, settings.site.facility, principal_of, limit,
                        split),
            stow_router(self._intake, principal_of, limit)]
        return build_app(queries, commands, health, self._inference, self._intake, settings, routers,
                         partial(model_card, settings.model_repository, self._inference.models), split,
                         partial(explain_object, settings, self._read_tags))

    def _checks(self) -> dict[str, Callable[[], str]]:
        models = sorted({m for r in self.settings.routes for m in self._pipelines[r.pipeline].models})

        def model_ready(name: str) -> str:
            self._inference.release(name)
            return "ok"

        return {
            "database": lambda: probe(self._database),
            "disk": lambda: self._gate.reason or "ok",
            "assembly": lambda: "ok" if self._clock.alive() else "the assembly clock has stopped",
            **{f"model {name}": partial(model_ready, name) for name in models}}

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Returns when every port listens."""
        self._housekeeping.watch_disk()
        self._index.start()
        recovered = self._index.rebuild(self._store.walk, partial(read_instance, read_tags=self._read_tags))
        self._engine.start()
        self._housekeeping.beat()
        self._housekeeping.sweep_lost(self._engine, datetime.now(UTC))
        self._messages.start()
        self._clock.start()
        self._schedule()
        self.http.start()
        self.mllp.start()
        self.dicom.start()
        log.info("gateway_ready", dicom_port=self.dicom.port, mllp_port=self.mllp.port, http_port=self.http.port,
                 pipelines=sorted(self._pipelines), recovered_objects=recovered)

    def _schedule(self) -> None:
        keeping = self._housekeeping
        rounds = {"heartbeat": (keeping.beat, 5), "sweep": (partial(keeping.sweep, self._engine), 15),
                  "disk": (keeping.watch_disk, 5), "retention": (keeping.retain, 600),
                  "silence": (keeping.silent_senders, 300)}
        for name, (what, seconds) in rounds.items():
            self._scheduler.add_job(guarded(what, name), "interval", seconds=seconds, id=name, max_instances=1,
                                    coalesce=True)
        self._scheduler.start()

    def stop(self) -> None:
        """Nothing new is taken in, what was taken is written down, what runs may end; the rest waits for the start."""
        self._gate.shut("stop", "the gateway is being stopped; try again later")
        for stop in (self.dicom.stop, self.mllp.stop, self.http.stop, self._messages.stop, self._clock.stop,
                     lambda: self._scheduler.shutdown(wait=False), self._index.stop, self._engine.stop,
                     self._database.dispose, self._lock.release):
            stop()
        log.info("gateway_stopped")


def engine_url(url: str, data_dir: Path) -> str:
    """DBOS keeps its tables in a file of its own beside ours on SQLite, in a schema of its own on PostgreSQL."""
    if not url.startswith("sqlite"):
        return url
    path = (data_dir / "engine.sqlite").resolve()
    open_database(f"sqlite:///{path}").connect().close()
    return f"sqlite:///{path}"


def check_routes(settings: Settings, known: Mapping[str, Pipeline]) -> None:
    """Raises ConfigurationError naming the rule."""
    for route in settings.routes:
        if route.pipeline not in known:
            raise ConfigurationError(f"routes: {route.name} names the pipeline {route.pipeline}, there is none; "
                                     f"known are {', '.join(sorted(known))}")


def main() -> None:
    """The console script `triage-gateway`."""
