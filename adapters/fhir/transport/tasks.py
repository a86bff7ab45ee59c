"""Tasks: the worklist read and searched over FHIR. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.fhir.content import task_search
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import Refused
from adapters.fhir.content.task import Site, task
from adapters.fhir.content.task_search import Lines


@dataclass(frozen=True, slots=True)
class TaskDesk:
    lines: Lines
    site: Site

    def read(self, task_id: str) -> Json:
        """Raises Refused 404."""
        detail = self.lines.case(task_id)
        if detail is None:
            raise Refused(404, "not-found", "There is no such Task.")
        return task(detail.case, self.site)

    def search(self, parameters: Sequence[tuple[str, str]], base: str, *, lenient: bool) -> Json:
        """The searchset Bundle. Raises Unreadable, and Unusable for a `_page` that is not from a link of ours."""
        return task_search.answer(self.lines, task_search.parse(self.lines, parameters, lenient=lenient), self.site,
                                  base)
