"""Search by date (R4 3.1.1.4.7): a prefix and a possibly partial date → instants to compare with."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from adapters.fhir.content.refusals import InvalidStructure

_VALUE = re.compile(r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(-(?P<month>\d{2})(-(?P<day>\d{2})(T(?P<hour>\d{2}):"
                    r"(?P<minute>\d{2})(:(?P<second>\d{2})(\.(?P<fraction>\d{1,6})\d*)?)?"
                    r"(?P<zone>Z|[+-]\d{2}:\d{2})?)?)?)?")


def date_range(value: str, element: str) -> tuple[tuple[str, datetime], ...]:
    """(`ge` or `lt`, aware UTC) pairs. Without zone it is UTC. Raises Unreadable naming `element`."""
    found = _VALUE.fullmatch(value.replace(" ", "+"))
    if not found:
        raise InvalidStructure("The value is no FHIR date, such as ge2025-01-31T08:00:00Z.", element=element)
    try:
        start, end = _span(found)
    except (ValueError, OverflowError) as error:
        raise InvalidStructure("The value names a day or time that does not exist.", element=element) from error
    prefix = found["prefix"] or "eq"
    bounds = {"eq": (("ge", start), ("lt", end)), "ge": (("ge", start),), "gt": (("ge", end),), "sa": (("ge", end),),
              "le": (("lt", end),), "lt": (("lt", start),), "eb": (("lt", start),)}
    if prefix not in bounds:
        raise InvalidStructure(f"Prefixes are {', '.join(bounds)}.", element=element)
    return bounds[prefix]


def _span(found: re.Match[str]) -> tuple[datetime, datetime]:
    """[start, end) of what the written precision covers."""
    part = {name: int(found[name] or (1 if name in ("month", "day") else 0))
            for name in ("year", "month", "day", "hour", "minute", "second")}
    micro = int((found["fraction"] or "").ljust(6, "0"))
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{found['zone'] or 'Z'}").tzinfo
    start = datetime(**part, microsecond=micro, tzinfo=zone)
    return start.astimezone(UTC), _after(start, found).astimezone(UTC)


def _after(start: datetime, found: re.Match[str]) -> datetime:
    if found["fraction"]:
        return start + timedelta(microseconds=10 ** (6 - len(found["fraction"])))
    for name, step in (("second", timedelta(seconds=1)), ("minute", timedelta(minutes=1)), ("day", timedelta(days=1))):
        if found[name]:
            return start + step
    month = start.month % 12 + 1 if found["month"] else 1
    return start.replace(year=start.year + (month == 1), month=month)
