"""From a complete study to proven deliveries: plan, read, publish, deliver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from adapters.database.commitments import DatabaseCommitments
from adapters.database.connection import engine_url
from adapters.database.engine import DbosEngine
from adapters.dicom.content.words import WORDS as LOADER_WORDS
from adapters.dicom.transport.commitment_scp import CommitmentScp
from adapters.dicom.transport.commitment_scu import committing
from adapters.dicom.transport.requestor import known_peers
from adapters.inference.repository import fingerprint
from gateway.app.outlets import encoders, open_destination
from gateway.app.parts import Foundation
from gateway.clockwork import AssemblyClock
from gateway.planning import Planner
from gateway.publishing import Publisher
from gateway.site_thresholds import fingerprint_at
from gateway.work import Parts, Work, now


class Reading:
    """The work, the engine that carries it on, and the clock that hands studies over.

    `indexed`: waits until what was acknowledged is in the index. `held_back`: seconds for which a study still waits for
    what is fetched for it.
    """

    def __init__(self, base: Foundation, indexed: Callable[[], bool],
                 held_back: Callable[[int, datetime], float]) -> None:
        settings = base.settings
        self.commitments = DatabaseCommitments(base.database, settings.site.facility)
        self.promising = CommitmentScp(known_peers(settings), settings.delivery.timeout_seconds)
        self.destinations = committing(
            settings, {d.name: open_destination(settings, d) for d in settings.destinations}, self.commitments,
            self.promising.on_event_report, now)
        publisher = Publisher(encoders(settings), self.destinations, base.files,
                              lambda path: Path(path).read_bytes())
        planner = Planner(settings.routes, base.pipelines, list(self.destinations),
                          fingerprint_at(settings.models, partial(fingerprint, settings.model_repository)),
                          (settings.site.language, settings.site.timezone))
        self.work = Work(Parts(base.rows, planner, base.pipelines, base.fulfilment, base.inference, publisher,
                               self.destinations, LOADER_WORDS), settings, reported=base.instruments.reported,
                         indexed=indexed, held_back=held_back)
        self.engine = DbosEngine(self.work, url=engine_url(base.database_url, settings.data_dir),
                                 executor_id=base.lock.executor_id, workers=settings.engine.workers,
                                 destinations=list(self.destinations))
        self.work.use(self.engine)
        self.clock = AssemblyClock(self.work)
