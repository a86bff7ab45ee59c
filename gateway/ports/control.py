"""Ports of the people and programs that look and order: questions, commands, readiness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.browsing import EVERYTHING, Facets, WorklistFilter
from gateway.delivery import DeliveryState, Kind
from gateway.ports.views import CaseDetail, DeliveryView, Page, ReportQuery, StoredDocument
from gateway.study import Priority


class Queries(Protocol):
    """What can be asked. No method changes anything. Cursors are opaque strings; a bad one raises Unusable."""

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page:
        """Sickest first, one item per study, told by its most urgent case that the filter lets through."""
        ...

    def facets(self, where: WorklistFilter = EVERYTHING) -> Facets: ...

    def case(self, case_id: str) -> CaseDetail | None: ...

    def successor(self, case_id: str) -> str:
        """The case that leads a study now, by the one it had while it was received; empty where there is none."""
        ...

    def document(self, case_id: str, kind: Kind) -> StoredDocument | None:
        """The newest run's document of that kind (any destination), None where there is none."""
        ...

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100, *, before_id: int | None = None,
                   destination: str = "", case_id: str = "") -> tuple[DeliveryView, ...]:
        """The newest first, those with a smaller id than `before_id`."""
        ...

    def reports(self, query: ReportQuery) -> tuple[tuple[StoredDocument, ...], int]:
        """Current DIAGNOSTIC_REPORT documents (a FHIR Bundle each), newest first, and how many match in all."""
        ...

    def orders(self, order_id: str) -> Mapping[str, Any] | None: ...

    def senders(self) -> tuple[Mapping[str, Any], ...]:
        """{protocol, name, last_heard, count} each."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Cases by state (`cases.reported`), deliveries by state (`deliveries.dead`), instances, studies."""
        ...


class Commands(Protocol):
    """What can be ordered. Each raises Unusable where the thing is not there or not in a state for it."""

    def cancel(self, case_id: str) -> None: ...

    def replay(self, case_id: str) -> str:
        """The same version again: read again (a failed or cancelled case), else deliver again; returns the run id."""
        ...

    def rerun(self, case_id: str) -> str:
        """Plan the study anew with the models and rules of now; returns the new run, which supersedes the last."""
        ...

    def retry_delivery(self, delivery_id: int) -> None: ...

    def retry_dead(self, destination: str = "") -> int:
        """All that is dead or waits for its next attempt (to one destination) is tried now; returns how many."""
        ...

    def set_priority(self, case_id: str, priority: Priority) -> None: ...

    def mark_read(self, case_id: str) -> None:
        """Opened to the end on the page: sets read_at."""
        ...

    def mark_unread(self, case_id: str) -> None:
        """Read by mistake: the case takes its place among the unread again."""
        ...

    def predict_study(self, objects: Iterable[tuple[bytes, Sequence[bytes]]], pipeline: str = "") -> Mapping[str, Any]:
        """(header, data set) of each object of one study in, the result's JSON form out, nothing kept.

        `pipeline`: which of those that the rules send it to; empty: the first. Raises Unusable when no pipeline takes
        it, or not this one, or there is more than one study.
        """
        ...


class Health(Protocol):
    def ready(self) -> tuple[bool, Mapping[str, str]]:
        """(can take and read studies, {part: `ok` or why not})."""
        ...
