"""The worklist's order for machines, over DIMSE and HTTP: which workitems match, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.dicom.content import ups
from gateway.held import Holdings, Match, matches
from gateway.identity import case_of_workitem
from gateway.ports import CaseView, Queries

_PAGE = 200
_INPUTS = "InputInformationSequence"


@dataclass(frozen=True, slots=True)
class Workitems:
    """Read only. What a search needs of the objects of a study is read only where it is asked for."""

    queries: Queries
    holdings: Holdings

    def search(self, wanted: Sequence[Match], base: str = "", *, inputs: bool = False) -> Iterator[dict[str, Any]]:
        """Sickest first. Raises Transient where the database does not answer."""
        inputs = inputs or any(m.keyword.startswith(f"{_INPUTS}.") for m in wanted)
        for case in self._cases(wanted):
            told = self._told(case, base, inputs=inputs)
            if matches(told, wanted):
                yield told

    def get(self, uid: str, base: str = "") -> dict[str, Any] | None:
        """With its inputs; None where there is no such workitem."""
        detail = self.queries.case(case_of_workitem(uid))
        return self._told(detail.case, base, inputs=True) if detail else None

    def _told(self, case: CaseView, base: str, *, inputs: bool) -> dict[str, Any]:
        return ups.workitem(case, self.holdings.instances(case.study_instance_uid) if inputs else (), base)

    def _cases(self, wanted: Sequence[Match]) -> Iterator[CaseView]:
        named = next((m.values for m in wanted if m.keyword == "SOPInstanceUID"), None)
        if named is not None:
            details = (self.queries.case(case_of_workitem(uid)) for uid in named)
            yield from (detail.case for detail in details if detail)
            return
        where, cursor = ups.narrowed(wanted), None
        while True:
            page = self.queries.worklist(_PAGE, cursor, where)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return
