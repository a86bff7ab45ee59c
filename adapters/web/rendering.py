"""Jinja templates with the site's language and time zone; everything that is printed is escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from adapters.web.catalogue import texts
from adapters.web.presentation import Form, Line, Mark, as_time, line, mark, person_name, proof
from adapters.web.sayings import said
from adapters.web.why_here import sentences
from gateway.settings import Settings

Clock = Callable[[], datetime]
_UNEXPECTED = frozenset({"band.risen", "band.not_analysed_overdue", "narrow"})
"""Reasons for a place that verdict, risk and waiting time in the same row do not tell already."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Renderer:
    """Pages in one language. `clock` gives an aware time."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.t = texts(settings.site.language)
        self._clock = clock
        self.zone = ZoneInfo(settings.site.timezone)
        self._environment = Environment(loader=PackageLoader("adapters.web"), autoescape=True,
                                        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self._environment.globals |= {"t": self.t, "settings": settings, "language": settings.site.language}
        self._environment.filters |= {"when": self.when, "iso": _iso, "placed": self.placed, "person": person_name,
                                      "number": _number, "proof": partial(proof, t=self.t),
                                      "said": partial(said, language=settings.site.language)}

    def html(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        page = self._environment.get_template(template).render(now=self._clock(), **values)
        return HTMLResponse(page, status)

    def line(self, form: Form) -> Line:
        """With the words for why it stands where it does."""
        reasons = form["place_reasons"]
        here = self.why_here(form)
        place = " ".join(text for text, reason in zip(here, reasons, strict=True) if reason["code"] in _UNEXPECTED)
        return replace(line(form, self.t, self._clock()), here=here, place=place)

    def why_here(self, form: Form) -> tuple[str, ...]:
        """One sentence for each reason."""
        return sentences(form.get("place_reasons") or (), self.t, self._clock())

    def mark(self, delivery: Form) -> Mark:
        return mark(delivery, self.t)

    def when(self, value: datetime | str | None) -> str:
        """Date and minute in the site's time zone; seconds are in the `datetime` attribute beside it."""
        return "" if value is None else as_time(value).astimezone(self.zone).strftime("%Y-%m-%d %H:%M")

    def placed(self, value: str) -> str:
        """A time as an order tells it: as `when`, or as it came where it is a day, a month or no time at all."""
        told = _told(value) if len(value) > len("2026-01-05") else None
        if told is None:
            return value
        return self.when(told if told.tzinfo else told.replace(tzinfo=self.zone))


def _told(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def safe_html(markdown: str) -> Markup:
    """Markdown as HTML: raw HTML is shown as text, images and script links are left out. Wide tables scroll."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    html = parser.render(markdown)
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(html)  # noqa: S704 - the parser escapes all raw HTML


def _iso(value: datetime | str) -> str:
    return as_time(value).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(value: float) -> str:
    """At most four significant digits, no exponent for the usual sizes: 71, 0.043, 12.35."""
    return f"{value:.4g}"
