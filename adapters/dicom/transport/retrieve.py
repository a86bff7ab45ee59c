"""C-GET and C-MOVE SCU (PS3.4 C.4.2, C.4.3): objects of an archive come into the store like those of any sender."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt

from adapters.dicom.content import part10, query, tags
from adapters.dicom.transport import contexts
from adapters.dicom.transport.association import Peer
from adapters.dicom.transport.find import Finder, deadline
from adapters.dicom.transport.requestor import associated
from adapters.dicom.transport.storing import failure_status
from gateway import settings as configuration
from gateway.errors import GatewayError, Transient, Unusable
from gateway.fetching import ArchivedInstance, ArchivedStudy, Fetched, requests
from gateway.ports import Intake
from gateway.study import Sender

log = structlog.get_logger()
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_NOTHING_SENT = 0xA702
"""Unable to perform sub-operations (PS3.4 C.4.3.1.4), of one request: the next may be about other classes."""
_MOST_CONTEXTS = 126
"""Of an association, beside that of C-GET: there are 128 ids (PS3.8 7.1.1.13)."""
_MOST_ASSOCIATIONS = 2
_SYNTAXES = tuple(f"1.2.840.10008.1.2{end}" for end in (
    ".1", "", ".4.70", ".4.90", ".4.80", ".5", ".4.91", ".4.81", ".4.50", ".4.51", ".4.57", ".1.99", ".2", ".4.201",
    ".4.202", ".4.203", ".4.100", ".4.101", ".4.102", ".4.103"))
"""What archives hold, the usual first. Some refuse a context with many more."""


class DicomArchive:
    """Implements gateway.fetching.Archive."""

    def __init__(self, settings: configuration.ArchiveSettings, intake: Intake, own_ae_title: str,
                 private: Sequence[str] = ()) -> None:
        """`own_ae_title`: of our receiver, to which C-MOVE sends. `private`: storage SOP classes beside the known."""
        self.name, self.ae_title = settings.name, settings.ae_title
        self.retrieves = settings.retrieve != "none"
        self._peer = Peer(settings.host, settings.port, settings.ae_title, settings.calling_ae_title or own_ae_title,
                          settings.timeout_seconds)
        self._settings, self._intake, self._own, self._private = settings, intake, own_ae_title, tuple(private)
        self._finder = Finder(self._peer, 4 * settings.timeout_seconds)

    def count(self, study_instance_uid: str) -> int | None:
        return self._finder.count(study_instance_uid)

    def instances(self, study_instance_uid: str) -> tuple[ArchivedInstance, ...]:
        return self._finder.instances(study_instance_uid)

    def studies_of(self, patient_id: str) -> tuple[ArchivedStudy, ...]:
        return self._finder.studies_of(patient_id)

    def fetch(self, study_instance_uid: str, wanted: Sequence[ArchivedInstance],
              held: Sequence[ArchivedInstance]) -> Fetched:
        """Raises Transient or Permanent before anything came; after that it says how far it got."""
        if not wanted:
            return Fetched(0)
        if self._settings.retrieve == "move":
            return self._move(_identifiers(study_instance_uid, wanted, held))
        incoming = _Incoming(self._intake, Sender("dicom", self.ae_title, self._peer.host), study_instance_uid)
        return self._get(study_instance_uid, wanted, held, incoming)

    def _get(self, study: str, wanted: Sequence[ArchivedInstance], held: Sequence[ArchivedInstance],
             incoming: _Incoming) -> Fetched:
        """A second association offers what the first had no room for, where objects did not come by that."""
        until = time.monotonic() + self._settings.fetch_timeout_seconds
        first, *more = class_groups([one.sop_class_uid for one in wanted], self._private)
        fetched = self._get_classes(first, _identifiers(study, wanted, held), incoming, until)
        for classes in more:
            missing = [one for one in wanted if one.sop_instance_uid not in incoming.seen]
            if not missing or time.monotonic() >= until:
                break
            try:
                fetched = self._get_classes(classes, _identifiers(study, missing, held), incoming, until)
            except GatewayError as error:
                fetched = replace(fetched, why=str(error))
        if all(one.sop_instance_uid in incoming.stored for one in wanted):
            fetched = Fetched(0)  # what one association could not bring, the other has
        # What we refused an archive counts among those that failed, as it should.
        return Fetched(len(incoming.stored), max(fetched.failed, incoming.refused), fetched.why)

    def _get_classes(self, classes: Sequence[str], identifiers: Sequence[Dataset], incoming: _Incoming,
                     until: float) -> Fetched:
        offered = storage_contexts(classes)
        roles = [build_role(uid, scp_role=True) for uid in dict.fromkeys(uid for uid, _ in offered)]
        proposals = [build_context(query.GET), *(build_context(uid, list(syntaxes)) for uid, syntaxes in offered)]
        with associated(self._peer, proposals, roles, [(evt.EVT_C_STORE, incoming.store)]) as association, \
                deadline(association, until - time.monotonic()):
            return _retrieve(association.send_c_get, identifiers, (query.GET,))

    def _move(self, identifiers: Sequence[Dataset]) -> Fetched:
        with associated(self._peer, [build_context(query.MOVE)]) as association, \
                deadline(association, self._settings.fetch_timeout_seconds):
            return replace(_retrieve(association.send_c_move, identifiers, (self._own, query.MOVE)), told=True)


class _Incoming:
    """Takes the objects of C-GET sub-operations."""

    def __init__(self, intake: Intake, sender: Sender, study: str) -> None:
        self._intake, self._sender, self._study = intake, sender, study
        self.stored: set[str] = set()
        self.seen: set[str] = set()
        """What the archive could send, whether or not we could take it."""
        self.refused = 0

    def store(self, event: Any) -> int:
        """The status of one C-STORE; never raises, since the archive waits for an answer."""
        try:
            request = event.request
            uid = str(request.AffectedSOPInstanceUID)
            self.seen.add(uid)
            header = part10.build(part10.FileMeta(str(request.AffectedSOPClassUID), uid,
                                                  str(event.context.transfer_syntax), self._sender.name))
            dataset = [request.DataSet.getvalue()]
            tags.require_announced(header, dataset)
            if tags.identity(header, dataset).get("StudyInstanceUID") != self._study:
                raise Unusable("The object is not of the study that was asked for.", element="StudyInstanceUID")
            self._intake.take(self._sender, header, dataset)
        except GatewayError as error:
            self.refused += 1
            status = failure_status(error)
            log.warning("fetched_object_refused", archive=self._sender.name, status=f"0x{status:04X}",
                        reason=str(error))
            return status
        except Exception:
            self.refused += 1
            log.exception("fetched_object_failed", archive=self._sender.name)
            return _PROCESSING_FAILURE
        self.stored.add(uid)
        return _SUCCESS


def class_groups(told: Iterable[str], private: Iterable[str] = ()) -> list[list[str]]:
    """Storage SOP classes to offer, a list for each association.

    `told`: of the wanted objects; "" where the archive leaves SOP Class UID out of its answers, as it may (PS3.4
    C.6.1.1.5): then every class is offered, the usual on the first association.
    """
    told = set(told)
    named = sorted(told - {""})
    if "" in told:
        named = list(dict.fromkeys([*named, *contexts.usual_first(private)]))
    groups = [named[start:start + _MOST_CONTEXTS] for start in range(0, len(named), _MOST_CONTEXTS)]
    return groups[:_MOST_ASSOCIATIONS]


def storage_contexts(classes: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """(SOP class, transfer syntaxes) proposals for C-GET, 126 at most.

    Where the classes are few, each syntax is a context of its own as far as there is room, so that the archive can
    send an object as it holds it; else it chooses one for each class.
    """
    named = list(dict.fromkeys(classes))[:_MOST_CONTEXTS]
    each = max(1, _MOST_CONTEXTS // len(named))
    alone = _SYNTAXES if each >= len(_SYNTAXES) else _SYNTAXES[:each - 1]
    rest = _SYNTAXES[len(alone):]
    return [(uid, group) for uid in named for group in [*((one,) for one in alone), *([rest] if rest else [])]]


def _retrieve(send: Any, identifiers: Sequence[Dataset], how: tuple[str, ...]) -> Fetched:
    """All requests on one association, until one breaks off or is refused."""
    completed = failed = 0
    why = ""
    for identifier in identifiers:
        try:
            status = _last(send, identifier, how)
        except Transient as error:
            return Fetched(completed, failed, str(error))
        completed += int(status.get("NumberOfCompletedSuboperations", 0) or 0)
        completed += int(status.get("NumberOfWarningSuboperations", 0) or 0)
        failed += int(status.get("NumberOfFailedSuboperations", 0) or 0)
        if status.Status >> 12 != 0xB and status.Status != _SUCCESS:
            why = why or f"The archive ended with status 0x{status.Status:04X}."
            if status.Status != _NOTHING_SENT:
                break
    return Fetched(completed, failed, why)


def _identifiers(study: str, wanted: Sequence[ArchivedInstance], held: Sequence[ArchivedInstance]) -> list[Dataset]:
    return [query.retrieval(study, level) for level in requests(wanted, held)]


def _last(send: Any, identifier: Dataset, how: tuple[str, ...]) -> Dataset:
    """The final response. Raises Transient where there is none."""
    try:
        for status, _ in send(identifier, *how):
            if "Status" not in status:
                break
            if status.Status not in query.PENDING:
                return Dataset(status)
    except (RuntimeError, ValueError, AttributeError) as error:  # the library's words for an association that is gone
        raise Transient("The archive broke off the association.") from error
    raise Transient("The archive broke off.")


def archives(settings: configuration.Settings, intake: Intake) -> dict[str, DicomArchive]:
    return {one.name: DicomArchive(one, intake, settings.dicom.ae_title, settings.dicom.storage_sop_classes)
            for one in settings.archives}
