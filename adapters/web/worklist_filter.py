"""What of the worklist is asked for, in an address, a form or a JSON body: one model for page, API and saved views.

No patient data stands in an address: what people search for by text comes in a body only (`SearchForm`, `ListForm`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from gateway.browsing import WorklistFilter
from gateway.case import CaseState
from gateway.result import Verdict
from gateway.study import Priority
from gateway.views import LONGEST_NAME

_YEARS = range(1900, 2200)


def _many(value: Any) -> Any:
    """`CT,MR` is two values; blanks, as an HTML form sends them, are none."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list):
        return given
    parts = [part for one in given for part in (one.split(",") if isinstance(one, str) else [one])]
    return [part.strip() if isinstance(part, str) else part for part in parts
            if not isinstance(part, str) or part.strip()]


def _blank(value: Any) -> Any:
    return None if value == "" else value


def _moment(value: Any) -> Any:
    """A day (`2026-01-05`) or a time; a time without an offset is in the site's zone."""
    if not isinstance(value, str) or not value:
        return _blank(value)
    try:
        told: date = date.fromisoformat(value) if len(value) == len("2026-01-05") else datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("this is not a date as 2026-01-05 nor a time as 2026-01-05T08:30:00Z") from error
    if told.year not in _YEARS:
        raise ValueError(f"the year is to be from {_YEARS.start} to {_YEARS.stop - 1}")
    return told


Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Word = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
Words = Annotated[list[Word], BeforeValidator(_many), Field(max_length=50)]
Moment = Annotated[datetime | date | None, BeforeValidator(_moment)]
Cursor = Annotated[Annotated[str, StringConstraints(max_length=500)] | None, BeforeValidator(_blank)]


class FilterForm(BaseModel):
    """Every field narrows the list; of several values of a field any will do (repeated, or with commas between)."""

    modality: Words = []
    verdict: Annotated[list[Verdict], BeforeValidator(_many), Field(max_length=10)] = []
    state: Annotated[list[CaseState], BeforeValidator(_many), Field(max_length=10)] = []
    priority: Annotated[list[Priority], BeforeValidator(_many), Field(max_length=10)] = []
    pipeline: Words = []
    finding: Annotated[Words, Field(description="Labels of findings that are present.")] = []
    received_from: Annotated[Moment, Field(description="A day or a time; days are the site's.")] = None
    received_to: Annotated[Moment, Field(description="A day (included) or a time (excluded).")] = None
    read: Annotated[bool | None, BeforeValidator(_blank), Field(description="Read by a person, or not yet.")] = None

    def where(self, zone: ZoneInfo, **more: Any) -> WorklistFilter:
        return WorklistFilter(
            modality=frozenset(self.modality), verdict=frozenset(self.verdict), state=frozenset(self.state),
            priority=frozenset(self.priority), pipeline=frozenset(self.pipeline), finding=frozenset(self.finding),
            received_from=_instant(self.received_from, zone), received_to=_instant(self.received_to, zone, ends=True),
            read=self.read, **more)

    def query(self) -> dict[str, list[str]]:
        """Field → values as an address writes them, what is asked for only. No patient data."""
        told = {name: getattr(self, name) for name in FilterForm.model_fields}
        return {name: _written(value) for name, value in told.items() if value not in (None, [])}


def _instant(value: date | None, zone: ZoneInfo, *, ends: bool = False) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        return datetime.combine(value + timedelta(days=ends), time(), zone).astimezone(UTC)
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _written(value: Any) -> list[str]:
    if isinstance(value, bool):
        return [str(value).lower()]
    return [value.isoformat()] if isinstance(value, date) else [str(one) for one in value]


class FacetQuery(FilterForm):
    """Of `GET /api/worklist/facets`. An unknown name is refused: it would silently narrow nothing."""

    model_config = ConfigDict(extra="forbid")


class ListQuery(FacetQuery):
    """Of `GET /api/worklist`."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Cursor = None


class SearchForm(ListQuery):
    """Of `POST /api/worklist/search`: what an address may not hold."""

    text: Annotated[Text, Field(description="Each word stands in name, patient id or accession number.")] = ""
    patient_id: Text = ""
    patient_issuer: Text = ""
    study_instance_uid: Word = ""

    def everything(self, zone: ZoneInfo) -> WorklistFilter:
        patient = (self.patient_issuer, self.patient_id) if self.patient_id else None
        return self.where(zone, text=self.text, patient=patient, study_instance_uid=self.study_instance_uid)


class PageQuery(FilterForm):
    """Of the page. `trail`: cursors of the pages before this one, so that a link leads back; `page` counts from 1."""

    cursor: Cursor = None
    trail: Annotated[list[Annotated[str, StringConstraints(max_length=500)]], Field(max_length=20)] = []
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class ListForm(PageQuery):
    """The filter's form. `only`: FIELD:VALUE of a count that was pressed; pressed again, it is let go."""

    text: Text = ""
    only: Word = ""

    def pressed(self) -> ListForm:
        field, _, value = self.only.partition(":")
        if field not in ("verdict", "state"):
            return self
        now = [] if self.query().get(field) == [value] else [value]
        return ListForm.model_validate(self.query() | {"text": self.text, field: now})


class ViewForm(FilterForm):
    """A filter to be kept under a name."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME,
                                           pattern=r"^[^\x00-\x1f]*$")]


def address(path: str, query: Mapping[str, Sequence[str]], more: Iterable[tuple[str, str]] = ()) -> str:
    """`/?modality=CT&page=2`."""
    pairs = [*((name, value) for name, values in query.items() for value in values), *more]
    return f"{path}?{urlencode(pairs)}" if pairs else path
