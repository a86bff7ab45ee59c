"""What everything else stands on: data directory, database, files, models, pipelines. No thread is started here."""

from __future__ import annotations

from functools import partial

from adapters.database.command_rows import CommandRows
from adapters.database.connection import database_url, migrate, open_database
from adapters.database.queries import DatabaseQueries
from adapters.dicom.content.tags import read_tags
from adapters.files.documents import DocumentFolder
from adapters.files.lock import DataDirectoryLock
from adapters.files.store import FileObjectStore
from adapters.inference.opening import open_inference
from adapters.web.instruments import Instruments
from adapters.web.latency import Latencies
from gateway.app.readers import PixelsAndSamples, check_models, check_routes, discover_pipelines
from gateway.intake import Gate
from gateway.reading import Fulfilment
from gateway.routing import extra_keywords
from gateway.settings import Settings
from gateway.site_thresholds import with_site_thresholds


class Foundation:
    """Opened in this order; the lock keeps a second gateway off the data directory.

    Raises ConfigurationError, and Transient where the database cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = DataDirectoryLock(settings.data_dir)
        self.database_url = database_url(settings.database_url, settings.data_dir)
        self.database = open_database(self.database_url, settings.triage)
        migrate(self.database)
        self.gate = Gate()
        self.files = DocumentFolder(settings.data_dir / "documents")
        self.store = FileObjectStore(settings.data_dir / "instances", settings.storage.free_floor_bytes)
        self.instruments = Instruments(self.store.free_bytes)
        self.pipelines = discover_pipelines()
        check_routes(settings, self.pipelines)
        check_models(settings)
        self.latencies = Latencies(self.instruments.registry)
        self.inference = self.latencies.timed(with_site_thresholds(
            open_inference(settings.inference, settings.model_repository), settings.models))
        self.fulfilment = Fulfilment(PixelsAndSamples(), self.inference)
        self.extra_keywords = tuple(extra_keywords(settings.routes))
        self.read_tags = partial(read_tags, extra_keywords=self.extra_keywords)
        self.rows = CommandRows(self.database, self.files.get)
        self.queries = DatabaseQueries(self.database, self.files.get, settings.assembly)
