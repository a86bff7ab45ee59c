"""One running gateway: its parts, started in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from gateway.app.parts import Foundation
from gateway.app.reading import Reading
from gateway.app.receiving import Receiving
from gateway.app.web import Web
from gateway.errors import ConfigurationError
from gateway.housekeeping import Housekeeping, guarded
from gateway.settings import Settings
from gateway.work import now

log = structlog.get_logger()
_INDEXED_SECONDS = 5.0
"""How long a hand-over waits for the index to take in what was acknowledged."""

_PREPARED_MEGABYTES = 32
_PATIENCE_SECONDS = 10.0
"""How long receiver processes of a gateway that has been killed may take to notice."""


class Gateway:
    """Built whole, then started; stopped in the opposite order."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._base = Foundation(settings)
        # The work waits for the index, and the index pokes the clock that asks the work.
        self._reading = Reading(self._base, self._indexed, self._held_back)
        self._receiving = Receiving(self._base, self._reading)
        self._web = Web(self._base, self._reading, self._receiving)
        self._housekeeping = Housekeeping(settings, self._base.rows, self._base.store, self._base.files,
                                          self._base.gate, self._base.lock.executor_id)
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self.dicom, self.mllp, self.http = self._receiving.dicom, self._receiving.mllp, self._web.http

    def _indexed(self) -> bool:
        return self._receiving.index.flush(_INDEXED_SECONDS)

    def _held_back(self, study_id: int, at: datetime) -> float:
        return self._receiving.archivist.waits(study_id, at)

    def start(self) -> None:
        """Returns when every port listens."""
        recovered = self._take_up()
        receiving = self._receiving
        for part in (receiving.messages, receiving.departures, receiving.desk, receiving.archivist):
            part.start()
        self._schedule()
        self.mllp.start()
        receiving.receivers.start()
        if self.settings.dicom.processes < 2:
            self._base.store.prepare(_PREPARED_MEGABYTES)
        try:
            self.dicom.start()
        except OSError as error:
            raise ConfigurationError(f"dicom.host, dicom.port: cannot listen ({error.strerror})") from error
        self._reading.work.doors_opened()
        self._reading.clock.start()
        self._web.batches.start()
        self.http.start()  # last: /readyz says that studies can be taken
        log.info("gateway_ready", dicom_port=self.dicom.port, mllp_port=self.mllp.port, http_port=self.http.port,
                 pipelines=sorted(self._base.pipelines), recovered_objects=recovered)
        for name, answer in self._web.health.ready()[1].items():
            if answer != "ok":
                log.warning("part_not_ready", part=name, why=answer)

    def _take_up(self) -> int:
        """What an earlier life left; returns how many objects the index had missed."""
        self._housekeeping.watch_disk()
        self._receiving.index.start()
        recovered = self._receiving.rebuild(_PATIENCE_SECONDS)
        self._reading.engine.start()
        self._housekeeping.beat()
        self._housekeeping.sweep_lost(self._reading.engine, datetime.now(UTC))
        return recovered

    def _schedule(self) -> None:
        keeping, engine = self._housekeeping, self._reading.engine
        rounds: dict[str, tuple[Callable[[], object], int]] = {
            "heartbeat": (keeping.beat, 5), "sweep": (partial(keeping.sweep, engine), 15),
            "waiting": (keeping.raise_waiting, 5), "disk": (keeping.watch_disk, 5), "retention": (keeping.retain, 600),
            "clear": (partial(keeping.clear, engine), 60), "rates": (self._web.operations.sample, 60),
            "silence": (keeping.silent_senders, 300), "commitments": (self._forget_commitments, 3600)}
        for name, (what, seconds) in rounds.items():
            self._scheduler.add_job(guarded(what, name), "interval", seconds=seconds, id=name, max_instances=1,
                                    coalesce=True)
        self._scheduler.start()

    def _forget_commitments(self) -> int:
        return self._reading.commitments.forget(now() - timedelta(days=self.settings.storage.retention_days))

    def stop(self) -> None:
        """Nothing new is taken in, what was taken is written down, what runs may end; the rest waits for the start.

        Also after a start that failed half-way.
        """
        base, reading, receiving = self._base, self._reading, self._receiving
        base.gate.shut("stop", "the gateway is being stopped; try again later")
        receiving.index.wait_no_more()
        with ExitStack() as last_comes_first:
            for stop in (base.lock.release, base.store.close, base.database.dispose, reading.engine.stop,
                         receiving.index.stop, self._stop_scheduler, reading.clock.stop, receiving.archivist.stop,
                         receiving.desk.stop, receiving.departures.stop, receiving.messages.stop,
                         self._web.batches.stop, self.http.stop, self.mllp.stop, receiving.receivers.stop,
                         self.dicom.stop):
                last_comes_first.callback(stop)
        log.info("gateway_stopped")

    def _stop_scheduler(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
