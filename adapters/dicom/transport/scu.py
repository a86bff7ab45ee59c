"""Delivery of documents to a PACS, and sending of files, by C-STORE (PS3.4 Annex B)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.dicom.content import part10
from adapters.dicom.content.upper_layer import MOST_CONTEXTS
from adapters.dicom.transport.association import Association, Peer, Response
from adapters.dicom.transport.contexts import IMPLICIT_LITTLE_ENDIAN
from gateway import settings as configuration
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.errors import GatewayError, Permanent, Rejected, Transient

VERIFICATION = "1.2.840.10008.1.1"
KINDS = frozenset({Kind.SOURCE, Kind.SR, Kind.SC, Kind.SEG})
NOT_SENT = -1
"""In a SendReport: no status, since the object was never sent."""


class DicomDestination:
    """`gateway.delivery.Destination`: C-STORE of the document's bytes; the proof is status 0x0000.

    A warning (0x0001, 0x0107, 0x0116, 0xBxxx: the peer kept the object, with remarks) is delivered too and noted.
    """

    def __init__(self, settings: configuration.DicomDestination, timeout_seconds: float = 30.0,
                 ae_title: str = "TRIAGE") -> None:
        """`timeout_seconds`: for each answer; `ae_title`: the calling AE title unless the settings name one."""
        self.name = settings.name
        self.kinds = frozenset(settings.kinds) & KINDS if settings.kinds is not None else KINDS
        self._peer = Peer(settings.host, settings.port, settings.ae_title, settings.calling_ae_title or ae_title,
                          timeout_seconds)

    def deliver(self, document: Document) -> Receipt:
        """Raises Transient (unreachable, busy, 0xA7xx, 0x0110) or Permanent (every other refusal)."""
        header, dataset = part10.split(document.content)
        meta = part10.parse(header)
        with Association(self._peer, [(meta.sop_class_uid, meta.transfer_syntax_uid)]) as association:
            response = association.store(meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, dataset)
        return _receipt(response, document.identity)

    def probe(self) -> None:
        """C-ECHO. Raises Transient."""
        try:
            with Association(self._peer, [(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)]) as association:
                response = association.echo(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)
        except Permanent as error:
            raise Transient(str(error)) from error
        if response.status:
            raise Transient(f"The peer answered C-ECHO with status 0x{response.status:04X}.")


def _receipt(response: Response, identity: str) -> Receipt:
    status = response.status
    facts = {"status": f"0x{status:04X}", "sop_instance_uid": identity}
    if status == 0:
        return Receipt(DeliveryState.DELIVERED, facts)
    if _warns(status):
        return Receipt(DeliveryState.DELIVERED, {**facts, "warning": True})
    # the peer's comment may quote the data set, so it is not repeated
    sentence = f"The peer refused the object with status 0x{status:04X}."
    raise Transient(sentence) if status >> 8 == 0xA7 or status == 0x0110 else Permanent(sentence)


def _warns(status: int) -> bool:
    """Stored, with remarks (PS3.7 C.4, PS3.4 Table B.2-1)."""
    return status in {0x0001, 0x0107, 0x0116} or status >> 12 == 0xB


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file. `status`: of the C-STORE, or NOT_SENT with the reason in `error`."""

    path: Path
    status: int
    error: str = ""

    @property
    def stored(self) -> bool:
        return self.status == 0 or _warns(self.status)


@dataclass(frozen=True, slots=True)
class SendReport:
    """Every file in the order it was dealt with."""

    files: tuple[Sent, ...]

    @property
    def failures(self) -> tuple[Sent, ...]:
        return tuple(sent for sent in self.files if not sent.stored)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    meta: part10.FileMeta

    @property
    def context(self) -> tuple[str, str]:
        return self.meta.sop_class_uid, self.meta.transfer_syntax_uid


def send_files(host: str, port: int, calling_ae_title: str, called_ae_title: str, paths: Iterable[Path],
               progress: Callable[[Path, int], None] | None = None, timeout_seconds: float = 30.0) -> SendReport:
    """C-STORE of Part 10 files, grouped so that no association has more than 128 presentation contexts.

    `progress(path, status)` is called after each file. Nothing is raised for a file or a peer: the report says which
    files were not stored and why.
    """
    peer = Peer(host, port, called_ae_title, calling_ae_title, timeout_seconds)
    report: list[Sent] = []

    def note(sent: Sent) -> None:
        report.append(sent)
        if progress:
            progress(sent.path, sent.status)

    files = list(_readable(paths, note))
    for group in _groups(files):
        for sent in _send_group(peer, group):
            note(sent)
    return SendReport(tuple(report))


def _readable(paths: Iterable[Path], note: Callable[[Sent], None]) -> Iterator[_File]:
    for path in paths:
        try:
            with path.open("rb") as file:
                yield _File(path, part10.parse(file.read(64 * 1024)))
        except (OSError, Rejected) as error:
            note(Sent(path, NOT_SENT, error.strerror or "" if isinstance(error, OSError) else str(error)))


def _groups(files: Iterable[_File]) -> Iterator[list[_File]]:
    """Files in their order, cut where one association would need too many contexts."""
    by_context: dict[tuple[str, str], list[_File]] = defaultdict(list)
    for file in files:
        by_context[file.context].append(file)
    contexts = list(by_context)
    for start in range(0, len(contexts), MOST_CONTEXTS):
        yield [file for context in contexts[start:start + MOST_CONTEXTS] for file in by_context[context]]


def _send_group(peer: Peer, files: list[_File]) -> Iterator[Sent]:
    """One association; where it breaks, the files that are left are not sent."""
    left = list(files)
    try:
        with Association(peer, list(dict.fromkeys(file.context for file in files))) as association:
            while left:
                sent = _send_file(association, left[0])
                left.pop(0)
                yield sent
    except GatewayError as error:
        for file in left:
            yield Sent(file.path, NOT_SENT, str(error))


def _send_file(association: Association, file: _File) -> Sent:
    """Raises Transient where the association broke; a file that nobody takes is only reported."""
    try:
        _, dataset = part10.split(file.path.read_bytes())
        response = association.store(file.meta.sop_class_uid, file.meta.sop_instance_uid,
                                     file.meta.transfer_syntax_uid, dataset)
    except OSError as error:
        return Sent(file.path, NOT_SENT, error.strerror or "")
    except (Permanent, Rejected) as error:
        return Sent(file.path, NOT_SENT, str(error))
    return Sent(file.path, response.status, response.comment)
