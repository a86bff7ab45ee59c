"""FHIR data types as plain dicts (R4 2.24), and back."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from adapters.fhir.content import vocabulary as v
from gateway import identity
from gateway.codes import Code

Json = dict[str, Any]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?")
_PN_PARTS = ("family", "given", "middle", "prefix", "suffix")
_REPRESENTATIONS = ("ABC", "IDE", "SYL")


def full_url(*parts: str) -> str:
    """`urn:uuid:…`, the same for the same parts."""
    number = int(identity.uid("fhir", *parts).removeprefix("2.25."))
    return f"urn:uuid:{uuid.UUID(int=number)}"


def clean(text: Any) -> str:
    """As a FHIR string (no control characters, no outer blanks); empty where nothing is left."""
    return _CONTROL.sub("", str(text or "")).strip()


def compact(value: Any) -> Any:
    """Without what FHIR forbids to be present: empty strings, arrays and objects, nulls."""
    if isinstance(value, dict):
        return {k: kept for k, inner in value.items() if not _empty(kept := compact(inner))}
    if isinstance(value, list):
        return [kept for inner in value if not _empty(kept := compact(inner))]
    return value


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def coding(code: Code) -> Json:
    return {"system": code.system, "code": code.value, "display": clean(code.meaning)}


def concept(*codes: Code, text: str = "") -> Json:
    return compact({"coding": [coding(c) for c in codes], "text": clean(text)})  # type: ignore[no-any-return]


def simple_concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def quantity(value: float, unit: Code, digits: int = 6) -> Json:
    """`valueQuantity` in UCUM, or the reason why there is no number (`dataAbsentReason`)."""
    if math.isfinite(value):
        number = round(float(value), digits)
        return {"valueQuantity": {"value": int(number) if number.is_integer() else number,
                                  "unit": clean(unit.meaning), "system": v.UCUM, "code": unit.value}}
    return {"dataAbsentReason": simple_concept(v.DATA_ABSENT, "not-a-number", "Not a Number (NaN)")}


def identifier(system: str, value: str, type_code: str = "", display: str = "", use: str = "") -> Json:
    """`type_code`: HL7 table 0203 (`MR`, `ACSN`, `PLAC`, `FILL`)."""
    kind = simple_concept(v.V2_IDENTIFIER_TYPE, type_code, display) if type_code else None
    return compact({"use": use, "type": kind, "system": system, "value": clean(value)})  # type: ignore[no-any-return]


def reference(url: str, resource_type: str) -> Json:
    return {"reference": url, "type": resource_type}


def issuer_system(issuer: str, fallback: str = "") -> str:
    """The URI of an assigning authority: URIs stay, OIDs become `urn:oid:`; others give `fallback`."""
    parts = [part for part in re.split(r"[&^]", issuer) if part]
    oids = [part for part in parts if "." in part and _OID.fullmatch(part)]
    if oids:
        return f"urn:oid:{oids[0]}"
    uris = [part for part in parts if _URI.fullmatch(part)]
    return uris[0] if uris else fallback


def search_token(system: str, value: str) -> str:
    """`system|value` for a URL query (R4 3.1.1.4.10), with FHIR's own escapes before the URL's."""
    escaped = re.sub(r"([\\,$|])", r"\\\1", clean(value))
    return quote(f"{system}|{escaped}" if system else escaped, safe=":/")


def moment(at: datetime, zone: str = "UTC") -> str:
    """An aware time as FHIR instant in that IANA zone, to the millisecond, always with offset."""
    told = at.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
    return told.removesuffix("+00:00") + "Z" if told.endswith("+00:00") else told


def fhir_date(dicom_date: str) -> str:
    """YYYYMMDD → YYYY-MM-DD; empty where it is no date."""
    try:
        return datetime.strptime(dicom_date.strip(), "%Y%m%d").date().isoformat()
    except ValueError:
        return ""


def dicom_moment(date: str, time: str, offset: str, zone: str) -> datetime | None:
    """DICOM DA and TM with TimezoneOffsetFromUTC (`+0300`), else the site's zone; None where they are no time."""
    found = _TIME.fullmatch(time.strip())
    if not found:
        return None
    hour, minute, second, fraction = found.groups()
    try:
        day = datetime.strptime(date.strip(), "%Y%m%d")
        micro = round(float(fraction or 0) * 1_000_000) % 1_000_000
        return day.replace(hour=int(hour), minute=int(minute or 0), second=int(second or 0), microsecond=micro,
                           tzinfo=_zone(offset, zone))
    except ValueError:
        return None


def _zone(offset: str, zone: str) -> tzinfo:
    found = re.fullmatch(r"([+-])(\d{2})(\d{2})", offset.strip())
    if not found:
        return ZoneInfo(zone)
    sign, hours, minutes = found.groups()
    span = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-span if sign == "-" else span)


def parse_instant(text: str) -> datetime | None:
    """A FHIR dateTime with time and offset, as aware UTC; None where it has no time."""
    try:
        told = datetime.fromisoformat(text)
        return told.astimezone(UTC) if told.tzinfo else None
    except (ValueError, OverflowError):
        return None


def human_names(person_name: str) -> list[Json]:
    """DICOM PN (PS3.5 6.2.1) → HumanName: one for each component group, marked ABC, IDE or SYL where several."""
    groups = person_name.split("=")[:3]
    several = sum(1 for group in groups if group.strip("^ ")) > 1
    return [name for group, kind in zip(groups, _REPRESENTATIONS, strict=False)
            if (name := _human_name(group, kind if several else ""))]


def _human_name(group: str, kind: str) -> Json:
    parts = dict(zip(_PN_PARTS, (clean(part) for part in group.split("^")), strict=False))
    given = [parts.get("given", ""), parts.get("middle", "")]
    name = compact({"family": parts.get("family"), "given": given, "prefix": [parts.get("prefix")],
                    "suffix": [parts.get("suffix")]})
    if name and kind:
        name["extension"] = [{"url": v.NAME_REPRESENTATION, "valueCode": kind}]
    return name  # type: ignore[no-any-return]


def person_name(names: Iterable[Json]) -> str:
    """HumanName → DICOM PN: marked names fill their groups; unmarked, the official one, else the first."""
    usable = [name for name in names if name.get("use") != "old"]
    marked = {_representation(name): name for name in usable if _representation(name)}
    if len(marked) > 1:
        groups = [_name_group(marked[kind]) if kind in marked else "" for kind in _REPRESENTATIONS]
        return "=".join(groups).rstrip("=")
    official = [name for name in usable if name.get("use") == "official"] or usable
    return _name_group(official[0]) if official else ""


def _representation(name: Json) -> str:
    found = [e.get("valueCode", "") for e in name.get("extension", []) if e.get("url") == v.NAME_REPRESENTATION]
    return str(found[0]) if found and found[0] in _REPRESENTATIONS else ""


def _name_group(name: Json) -> str:
    given = [_pn_part(part) for part in name.get("given", []) if part]
    parts = [_pn_part(name.get("family", "")), given[0] if given else "", " ".join(given[1:]),
             " ".join(_pn_part(p) for p in name.get("prefix", []) if p),
             " ".join(_pn_part(p) for p in name.get("suffix", []) if p)]
    group = "^".join(parts).rstrip("^")
    return group or _pn_part(name.get("text", ""))


def _pn_part(text: Any) -> str:
    return re.sub(r"[\^=\\]", " ", clean(text))
