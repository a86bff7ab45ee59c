"""What comes in over DICOM and HL7, and what is known of it: objects, orders, evidence, commitments, priors."""

from __future__ import annotations

from functools import partial

from adapters.database.evidence import DatabaseEvidence
from adapters.database.held import DatabaseHoldings
from adapters.database.index import InstanceIndex
from adapters.database.messages import DatabaseMessageLog
from adapters.database.priors import DatabasePriors
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.tags import tag_streamer
from adapters.dicom.transport.mpps import StepScp
from adapters.dicom.transport.retrieve import archives
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.ups_scp import UpsScp
from adapters.dicom.transport.workitems import Workitems
from adapters.files.intact import is_intact
from adapters.hl7.transport.server import MllpServer
from adapters.receiver.processes import ReceiverProcesses, Told
from adapters.receiver.wire import Orders
from gateway.app.parts import Foundation
from gateway.app.reading import Reading
from gateway.archivist import Archivist
from gateway.commitment_desk import CommitmentDesk
from gateway.departures import Departures
from gateway.intake import ObjectIntake


class Receiving:
    """Both listening servers and everything that an acknowledged object or message goes through."""

    def __init__(self, base: Foundation, reading: Reading) -> None:
        settings, clock = base.settings, reading.clock
        facility = settings.site.facility
        self._base, self._clock = base, clock
        self.index = InstanceIndex(base.database, facility, lambda _: self._indexed(), base.store,
                                   base.lock.executor_id)
        self.intake = ObjectIntake(base.store, tag_streamer(base.extra_keywords), self.index, base.gate,
                                   count=base.instruments.count)
        self.messages = DatabaseMessageLog(base.database, lambda _: clock.poke())
        self.evidence = DatabaseEvidence(base.database, facility, clock.poke)
        self.priors = DatabasePriors(base.database, facility)
        self.archivist = Archivist(settings, archives(settings, self.intake), self.priors, base.rows, self.evidence,
                                   self.index.flush, clock.poke)
        self.departures = Departures(self.evidence, self.index.flush, sent=self.priors.sent)
        self.desk = CommitmentDesk(reading.commitments, reading.promising, base.rows, reading.engine, is_intact,
                                   self.index.flush, self.evidence.requested)
        reading.promising.use(self.desk)
        self.holdings = DatabaseHoldings(base.database, facility, lambda path: read_instance(path, base.read_tags).tags)
        self.workitems = Workitems(base.queries, self.holdings)
        self.receivers = self._receivers()
        self.dicom = DicomServer(settings.dicom, self.intake, [
            reading.promising.service(), StepScp(self.evidence).service(), UpsScp(self.workitems).service(),
        ], self.receivers.left, self.receivers.pass_on)
        self.mllp = MllpServer(settings.mllp, facility, self.messages, settings.site.timezone)

    def _indexed(self) -> None:
        self._clock.poke()
        self.archivist.arrived()

    def _receivers(self) -> ReceiverProcesses:
        settings, base = self._base.settings, self._base
        orders = Orders(settings.dicom, settings.log, (settings.data_dir / "instances").resolve(),
                        settings.storage.free_floor_bytes, base.extra_keywords)
        told = Told(self.index, base.instruments.count, self.departures.left, self.rebuild)
        processes = settings.dicom.processes if settings.dicom.processes > 1 else 0
        return ReceiverProcesses(processes, orders, base.gate, told)

    def rebuild(self, patience: float = 0) -> int:
        """Index what is on disk and was not told; returns how many objects. Of a receiver process that has died it may
        be in its journal only; `patience`: seconds that those have to end whose gateway has died."""
        self._base.store.recover(patience)
        return self.index.rebuild(self._base.store.walk, partial(read_instance, read_tags=self._base.read_tags))
