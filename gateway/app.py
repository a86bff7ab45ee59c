"""The composition root: the only place that knows adapters and pipelines at once."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI

import pipelines
from adapters.cli import local
from adapters.cli.app import build_cli
from adapters.cli.services import CheckReport, CliServices, TrainRequest, ValidateRequest
from adapters.database.change import ChangeToken
from adapters.database.command_rows import CommandRows
from adapters.database.commitments import DatabaseCommitments
from adapters.database.connection import database_url, engine_url, migrate, open_database
from adapters.database.engine import DbosEngine
from adapters.database.evidence import DatabaseEvidence
from adapters.database.feedback import FeedbackRows
from adapters.database.held import DatabaseHoldings
from adapters.database.index import InstanceIndex
from adapters.database.library import open_library
from adapters.database.messages import DatabaseMessageLog
from adapters.database.operations import DatabaseOperations
from adapters.database.priors import DatabasePriors
from adapters.database.probe import probe
from adapters.database.queries import DatabaseQueries
from adapters.database.recordings import kept_answer
from adapters.database.saved_views import DatabaseSavedViews
from adapters.database.viewing import CaseBackground
from adapters.demo.command import add_demo
from adapters.demo.scenario import Scenario, scenarios
from adapters.dicom.content.part10 import split
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.slice_pixels import read_pixels
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.sr_tree import tree_of_report
from adapters.dicom.content.tags import TagStream, identity, read_tags
from adapters.dicom.content.volume import load_volume
from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from adapters.dicom.content.words import WORDS as LOADER_WORDS
from adapters.dicom.transport.commitment_scp import CommitmentScp
from adapters.dicom.transport.commitment_scu import committing
from adapters.dicom.transport.mpps import StepScp
from adapters.dicom.transport.qido import build_router as qido_router
from adapters.dicom.transport.requestor import known_peers
from adapters.dicom.transport.retrieve import archives
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import DicomDestination
from adapters.dicom.transport.stow import build_router as stow_router
from adapters.dicom.transport.ups_scp import UpsScp
from adapters.dicom.transport.wado import build_router as wado_router
from adapters.dicom.transport.workitems import Workitems
from adapters.dicom.transport.workitems_rs import build_router as workitems_router
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.transport.destination import FhirDestination
from adapters.fhir.transport.router import build_router as fhir_router
from adapters.files.batch_folder import BatchFolder
from adapters.files.conversion import Conversion
from adapters.files.documents import DocumentFolder
from adapters.files.folder_destination import FolderDestination
from adapters.files.intact import is_intact
from adapters.files.json_document import JsonEncoder
from adapters.files.lock import DataDirectoryLock
from adapters.files.scratch import ScratchFolder
from adapters.files.store import FileObjectStore
from adapters.hl7.content.message_tree import tree_of_message
from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.transport.destination import Hl7Destination
from adapters.hl7.transport.server import MllpServer
from adapters.inference.opening import open_inference
from adapters.inference.repository import fingerprint, model_card
from adapters.receiver.processes import ReceiverProcesses, Told
from adapters.receiver.wire import Orders
from adapters.web.app import build_app
from adapters.web.batch_work import BatchWork
from adapters.web.commitments import router as commitments_router
from adapters.web.instruments import Instruments
from adapters.web.latency import Latencies
from adapters.web.library import library_routers
from adapters.web.pages_case import CaseParts
from adapters.web.principal import principal_of
from adapters.web.server import HttpServer
from adapters.web.uploads import Door
from gateway import settings as configuration
from gateway.archivist import Archivist
from gateway.clockwork import AssemblyClock
from gateway.commands import GatewayCommands, Predictor
from gateway.commitment_desk import CommitmentDesk
from gateway.delivery import Destination, Kind
from gateway.departures import Departures
from gateway.documents import Encoder
from gateway.errors import ConfigurationError
from gateway.explaining import Explained, explain, study_alone
from gateway.health import PartsHealth
from gateway.housekeeping import Housekeeping, guarded
from gateway.intake import Gate, ObjectIntake, instance_of
from gateway.logs import configure_logs
from gateway.mapping import EvidenceMapper
from gateway.operations import Console, Disk
from gateway.pipeline import Ecg, Pipeline, Volume
from gateway.planning import Planner
from gateway.ports import Outcome, Stored
from gateway.publishing import Publisher
from gateway.reading import Fulfilment
from gateway.routing import extra_keywords
from gateway.settings import LogSettings, Settings
from gateway.study import Instance, Sender
from gateway.viewing import Viewer
from gateway.work import Parts, Work, now

log = structlog.get_logger()
_SWITCH_SECONDS = 0.001
"""How long a thread that computes may keep one waiting that answers a sender."""
_INDEXED_SECONDS = 5.0
"""How long a hand-over waits for the index to take in what was acknowledged."""


def discover_pipelines() -> dict[str, Pipeline]:
    """Every package under pipelines/ that exports PIPELINE: a new kind of study edits no list."""
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules(pipelines.__path__):
        if module.ispkg:
            pipeline: Pipeline | None = getattr(importlib.import_module(f"pipelines.{module.name}"), "PIPELINE", None)
            if pipeline is not None:
                found[pipeline.name] = pipeline
    return found


def open_destination(settings: Settings, wanted: configuration.DestinationSettings) -> Destination:
    timeout = settings.delivery.timeout_seconds
    match wanted:
        case configuration.DicomDestination():
            return DicomDestination(wanted, timeout, settings.dicom.ae_title)
        case configuration.Hl7Destination():
            return Hl7Destination(wanted, timeout)
        case configuration.FhirDestination():
            return FhirDestination(wanted, timeout)
        case configuration.FolderDestination():
            return FolderDestination(wanted)


class PixelsAndSamples:
    """Implements gateway.ports.Loader."""

    def load_volume(self, instances: tuple[Instance, ...]) -> Volume:
        return load_volume(instances)

    def load_ecg(self, instances: tuple[Instance, ...]) -> Ecg:
        return load_ecg(instances)


def encoders(settings: Settings) -> list[Encoder]:
    hl7 = {d.name: d for d in settings.destinations if isinstance(d, configuration.Hl7Destination)}
    return [StructuredReportEncoder(), SecondaryCaptureEncoder(), OruEncoder(hl7, settings.site.facility),
            DiagnosticReportEncoder(settings.site.identifier_systems), JsonEncoder()]


class Gateway:
    """One running gateway: all parts, started in the order in which they need each other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = DataDirectoryLock(settings.data_dir)
        url = database_url(settings.database_url, settings.data_dir)
        self._database = open_database(url, settings.triage)
        migrate(self._database)
        self._gate = Gate()
        self._files = DocumentFolder(settings.data_dir / "documents")
        self._store = FileObjectStore(settings.data_dir / "instances", settings.storage.free_floor_bytes)
        self._instruments = Instruments(self._store.free_bytes)
        self._pipelines = discover_pipelines()
        check_routes(settings, self._pipelines)
        self._latencies = Latencies(self._instruments.registry)
        self._inference = self._latencies.timed(open_inference(settings.inference, settings.model_repository))
        self._fulfilment = Fulfilment(PixelsAndSamples(), self._inference)
        self._commitments = DatabaseCommitments(self._database, settings.site.facility)
        self._promising = CommitmentScp(known_peers(settings), settings.delivery.timeout_seconds)
        self._destinations = committing(
            settings, {d.name: open_destination(settings, d) for d in settings.destinations}, self._commitments,
            self._promising.on_event_report, now)
        self._rows = CommandRows(self._database, self._files.get)
        self._work = self._build_work()
        self._engine = DbosEngine(self._work, url=engine_url(url, settings.data_dir),
                                  executor_id=self._lock.executor_id, workers=settings.engine.workers,
                                  destinations=list(self._destinations))
        self._work.use(self._engine)
        self._clock = AssemblyClock(self._work)
        self._read_tags = partial(read_tags, extra_keywords=extra_keywords(settings.routes))
        self._index = InstanceIndex(self._database, settings.site.facility, lambda _: self._clock.poke(),
                                    self._store.delete, self._lock.executor_id)
        self._intake = self._instruments.metered(
            ObjectIntake(self._store, partial(TagStream, extra_keywords=extra_keywords(settings.routes)), self._index,
                         self._gate))
        self._messages = DatabaseMessageLog(self._database, lambda _: self._clock.poke())
        self._evidence = DatabaseEvidence(self._database, settings.site.facility, self._clock.poke)
        self._priors = DatabasePriors(self._database, settings.site.facility)
        self._archivist = Archivist(settings, archives(settings, self._intake), self._priors, self._rows,
                                    self._evidence, self._index.flush, self._clock.poke)
        self._departures = Departures(self._evidence, self._index.flush, sent=self._priors.sent)
        self._desk = CommitmentDesk(self._commitments, self._promising, self._rows, self._engine, is_intact,
                                    self._index.flush, self._evidence.requested)
        self._promising.use(self._desk)
        self._housekeeping = Housekeeping(settings, self._rows, self._store, self._files, self._gate,
                                          self._lock.executor_id)
        self._operations = DatabaseOperations(self._database)
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._queries = DatabaseQueries(self._database, self._files.get)
        self._holdings = DatabaseHoldings(self._database, settings.site.facility,
                                          lambda path: read_instance(path, self._read_tags).tags)
        self._workitems = Workitems(self._queries, self._holdings)
        self._receivers = ReceiverProcesses(
            settings.dicom.processes if settings.dicom.processes > 1 else 0,
            Orders(settings.dicom, settings.log, (settings.data_dir / "instances").resolve(),
                   settings.storage.free_floor_bytes, tuple(extra_keywords(settings.routes))), self._gate,
            Told(self._index, self._instruments.count, self._departures.left, self._rebuild))
        self.dicom = DicomServer(settings.dicom, self._intake,
                                 [self._promising.service(), StepScp(self._evidence).service(),
                                  UpsScp(self._workitems).service()], self._receivers.left, self._receivers.pass_on)
        self.mllp = MllpServer(settings.mllp, settings.site.facility, self._messages, settings.site.timezone)
        web = self._build_web()
        self.http = HttpServer(web, settings.http, web.state.changes.close)

    def _build_work(self) -> Work:
        settings = self.settings
        publisher = Publisher(encoders(settings), self._destinations, self._files,
                              lambda path: Path(path).read_bytes())
        planner = Planner(settings.routes, self._pipelines, list(self._destinations),
                          partial(fingerprint, settings.model_repository),
                          (settings.site.language, settings.site.timezone))
        return Work(Parts(self._rows, planner, self._pipelines, self._fulfilment, self._inference, publisher,
                          self._destinations, LOADER_WORDS), settings, reported=self._instruments.reported,
                    indexed=lambda: self._index.flush(_INDEXED_SECONDS), held_back=self._held_back)

    def _held_back(self, study_id: int, at: datetime) -> float:
        return self._archivist.waits(study_id, at)

    def _build_web(self) -> FastAPI:
        settings = self.settings
        queries = self._queries
        predictor = Predictor(settings, self._read_tags, self._pipelines, self._fulfilment, self._inference,
                              ScratchFolder(settings.data_dir / "scratch").place)
        commands = GatewayCommands(self._rows, self._work, self._engine, predictor)
        health = PartsHealth(self._checks())
        limit = settings.http.maximum_upload_bytes
        routers = [
            fhir_router(queries, self._messages, self._intake, write_ecg, settings.site.facility, principal_of, limit,
                        split=split, kept=partial(kept_answer, self._database),
                        systems=settings.site.identifier_systems),
            stow_router(self._intake, principal_of, limit, self._departures.left),
            qido_router(self._holdings, principal_of), wado_router(self._holdings, principal_of),
            workitems_router(self._workitems, principal_of), commitments_router(self._commitments.shown)]
        zone = ZoneInfo(settings.site.timezone)
        convert = Conversion(zone, frozenset(
            modality for route in settings.routes for modality in self._pipelines[route.pipeline].modalities))
        library = open_library(self._database, settings.site.facility, self._work.plan, self._store, self._files,
                               self._engine)

        def known(uids: Sequence[str]) -> Sequence[str]:
            self._index.flush()
            return library.studies.ids_of(uids)

        door = Door(self._intake, split, convert, limit, identity, known)
        self._batches = BatchWork(BatchFolder(settings.data_dir / "batches"), settings.batch, door, commands)
        routers += library_routers(library, FeedbackRows(self._database), queries, self._batches, zone)
        return build_app(queries, commands, health, self._inference, door,
                         settings, routers, partial(model_card, settings.model_repository, self._inference.models),
                         self._explain_object, self._console(), self._case_parts(), self._instruments.registry)

    def _case_parts(self) -> CaseParts:
        background = CaseBackground(self._database)
        mapper = EvidenceMapper(self._pipelines, self._fulfilment, self._inference)
        return CaseParts(Viewer(background, read_pixels, load_ecg, self._files.get, mapper.map), background,
                         FeedbackRows(self._database), {Kind.SR: tree_of_report, Kind.ORU: tree_of_message})

    def _console(self) -> Console:
        return Console(DatabaseSavedViews(self._database), self._operations, ChangeToken(self._database),
                       lambda: Disk(self._store.free_bytes(), self._store.used_share()), self._latencies.told)

    def _explain_object(self, part10: bytes) -> Explained:
        header, dataset = split(part10)
        stored = Stored("", "", len(part10), Outcome.STORED)
        instance = instance_of(self._read_tags(header, [dataset]), stored, Sender("upload", ""), now())
        return explain(study_alone(self.settings.site.facility, [instance]), self.settings.routes, self._pipelines)

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
        recovered = self._rebuild()
        self._engine.start()
        self._housekeeping.beat()
        self._housekeeping.sweep_lost(self._engine, datetime.now(UTC))
        self._messages.start()
        self._departures.start()
        self._desk.start()
        self._archivist.start()
        self._schedule()
        self.mllp.start()
        self._receivers.start()
        try:
            self.dicom.start()
        except OSError as error:
            raise ConfigurationError(f"dicom.host, dicom.port: cannot listen ({error.strerror})") from error
        self._work.doors_opened()
        self._clock.start()
        self._batches.start()
        self.http.start()  # last: /readyz says that studies can be taken
        log.info("gateway_ready", dicom_port=self.dicom.port, mllp_port=self.mllp.port, http_port=self.http.port,
                 pipelines=sorted(self._pipelines), recovered_objects=recovered)
        for part, answer in PartsHealth(self._checks()).ready()[1].items():
            if answer != "ok":
                log.warning("part_not_ready", part=part, why=answer)

    def _rebuild(self) -> int:
        """Index what is on disk and was not told; returns how many objects."""
        return self._index.rebuild(self._store.walk, partial(read_instance, read_tags=self._read_tags))

    def _schedule(self) -> None:
        keeping = self._housekeeping
        rounds: dict[str, tuple[Callable[[], object], int]] = {
            "heartbeat": (keeping.beat, 5), "sweep": (partial(keeping.sweep, self._engine), 15),
            "waiting": (keeping.raise_waiting, 5), "disk": (keeping.watch_disk, 5), "retention": (keeping.retain, 600),
            "clear": (partial(keeping.clear, self._engine), 60), "rates": (self._operations.sample, 60),
            "silence": (keeping.silent_senders, 300),
            "commitments": (self._forget_commitments, 3600)}
        for name, (what, seconds) in rounds.items():
            self._scheduler.add_job(guarded(what, name), "interval", seconds=seconds, id=name, max_instances=1,
                                    coalesce=True)
        self._scheduler.start()

    def _forget_commitments(self) -> int:
        return self._commitments.forget(now() - timedelta(days=self.settings.storage.retention_days))

    def stop(self) -> None:
        """Nothing new is taken in, what was taken is written down, what runs may end; the rest waits for the start.

        Also after a start that failed half-way.
        """
        self._gate.shut("stop", "the gateway is being stopped; try again later")
        with ExitStack() as last_comes_first:
            for stop in (self._lock.release, self._store.close, self._database.dispose, self._engine.stop,
                         self._index.stop,
                         self._stop_scheduler, self._clock.stop, self._archivist.stop, self._desk.stop,
                         self._departures.stop, self._messages.stop, self._batches.stop, self.http.stop,
                         self.mllp.stop, self._receivers.stop, self.dicom.stop):
                last_comes_first.callback(stop)
        log.info("gateway_stopped")

    def _stop_scheduler(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def check_routes(settings: Settings, known: Mapping[str, Pipeline]) -> None:
    """Raises ConfigurationError naming the rule."""
    for route in settings.routes:
        if route.pipeline not in known:
            raise ConfigurationError(f"routes: {route.name} names the pipeline {route.pipeline}, there is none; "
                                     f"known are {', '.join(sorted(known))}")


# ---------------------------------------------------------------- commands


def serve(config: Path | None) -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = local.load_settings(config)
    configure_logs(settings.log)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gateway = Gateway(settings)
    with local.until_stopped() as stopping:
        try:
            gateway.start()
            gc.freeze()  # what is there now stays: looking through it again and again would keep senders waiting
            stopping.wait()
        finally:
            gateway.stop()


def check(config: Path | None, files: Sequence[Path]) -> CheckReport:
    settings, known = local.load_settings(config), discover_pipelines()
    check_routes(settings, known)
    return local.check(settings, known, files)


def part_of_pipeline(pipeline: str, module: str) -> Any:
    """`train` or `validate` of a pipeline, imported when it is asked for: training needs the `train` extra."""
    try:
        return importlib.import_module(f"pipelines.{pipeline}.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("pipelines"):
            raise ConfigurationError(f"there is no pipeline {pipeline} that can {module}") from error
        raise ConfigurationError(f"{module} needs {error.name}: in this checkout, "
                                 ".venv/bin/pip install -c constraints.txt -e '.[train]'") from error


def train(settings: Settings, wanted: TrainRequest) -> None:
    del settings
    chosen = {} if wanted.epochs is None else {"epochs": wanted.epochs}
    part_of_pipeline(wanted.pipeline, "train").train(wanted.data, wanted.out, seed=wanted.seed, device=wanted.device,
                                                     progress=local.tell, **chosen)


def validate(settings: Settings, wanted: ValidateRequest) -> Mapping[str, Any]:
    chosen: dict[str, Any] = {"folds": wanted.folds} if wanted.folds else {}
    score = part_of_pipeline(wanted.pipeline, "validate").validate
    if "loader" in inspect.signature(score).parameters:
        chosen["loader"] = PixelsAndSamples()
    figures: dict[str, Any] = score(
        wanted.data, open_inference(settings.inference, settings.model_repository), predictions=wanted.predictions,
        progress=local.tell, **chosen)
    wanted.json_out.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return figures


def demo_scenarios() -> list[Scenario]:
    """What the readers' own generators make, where they have one."""
    made: list[Any] = []
    for name in discover_pipelines():
        if importlib.util.find_spec(f"pipelines.{name}.synthetic") is not None:
            made += importlib.import_module(f"pipelines.{name}.synthetic").samples()
    return scenarios([s for s in made if hasattr(s, "signal")], [s for s in made if hasattr(s, "hu")])


def main() -> None:
    """The console script `triage-gateway`."""
    configure_logs(LogSettings())
    cli = build_cli(CliServices(
        serve=serve, load_settings=local.load_settings, send_files=local.send, check=check,
        conform=local.conform_files, models=local.list_models, train=train, validate=validate))
    add_demo(cli, demo_scenarios)
    cli()
