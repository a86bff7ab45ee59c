"""HL7 data types ↔ DICOM's forms: names (XPN, XCN ↔ PN), identifiers (CX), times (TS/DTM), sex."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any

from adapters.hl7.content.segments import Element, escape

_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_TIME = re.compile(_DAY.pattern + r"(\d{2})?(\d{2})?(\d{2})?(?:\.\d{1,6})?([+-]\d{4})?\Z", re.ASCII)
_SEX = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O"}
_GROUPS = {"I": 1, "P": 2}
"""XPN.8, HL7 table 0465: ideographic, phonetic (everything else is alphabetic) → PN component group."""
_NAME_TYPES = ("L", "")
"""XPN.7, HL7 table 0200: the legal name goes before an alias, a maiden or a nickname."""
_PN_DELIMITERS = re.compile(r"[\^=\\]")


def person_name(repetitions: Sequence[Element]) -> str:
    """XPN repetitions → PN: the legal name (else the first), with its ideographic and phonetic forms as groups."""
    groups = ["", "", ""]
    for name_type in _NAME_TYPES:
        for element in (r for r in repetitions if r.get(7) == name_type):
            group = _GROUPS.get(element.get(8), 0)
            groups[group] = groups[group] or _pn(element, 1)
    if not any(groups) and repetitions:
        groups[0] = _pn(repetitions[0], 1)
    return "=".join(groups).rstrip("=")


def provider_name(element: Element) -> str:
    """XCN (id^family^given^…) → PN."""
    return _pn(element, 2)


def _pn(element: Element, family: int) -> str:
    """Family^Given^Middle^Suffix^Prefix of HL7 → Family^Given^Middle^Prefix^Suffix of DICOM (PS3.5 6.2.1)."""
    given, middle, suffix, prefix = (element.get(family + n) for n in (1, 2, 3, 4))
    parts = (element.get(family), given, middle, prefix, suffix)
    return "^".join(_PN_DELIMITERS.sub(" ", part) for part in parts).rstrip("^")


def extended_person_name(pn: str) -> str:
    """PN → XPN repetitions in ER7, escaped; a name that is not known is of type U (HL7 table 0200)."""
    found = []
    for group, code in zip(pn.split("="), "AIP", strict=False):
        family, given, middle, prefix, suffix = (escape(p) for p in _alphabetic(group))
        if group.strip("^ "):
            found.append(f"{family}^{given}^{middle}^{suffix}^{prefix}^^L^{code}")
    return "~".join(found) or "^^^^^^U"


def extended_provider_name(pn: str) -> str:
    """PN → XCN without an id, in ER7, escaped; "" for no name."""
    family, given, middle, prefix, suffix = (escape(p) for p in _alphabetic(pn))
    return f"^{family}^{given}^{middle}^{suffix}^{prefix}".rstrip("^")


def _alphabetic(pn: str) -> list[str]:
    """The five components of the first component group."""
    return (pn.split("=", maxsplit=1)[0].split("^") + [""] * 5)[:5]


def birth_date(value: str) -> str:
    """TS → YYYYMMDD, "" where the day is unknown or the date does not exist."""
    day = _DAY.match(value)
    try:
        return day[0] if day and date(int(day[1]), int(day[2]), int(day[3])) else ""
    except ValueError:
        return ""


def sex(value: str) -> str:
    """HL7 table 0001 → M | F | O | ""."""
    return _SEX.get(value.upper()[:1], "")


def moment(value: str, zone: tzinfo) -> str:
    """TS/DTM → ISO 8601 with offset (`zone` where none is given), "" where there is no such time."""
    match = _TIME.match(value)
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        own = _offset(match[7]) if match[7] else zone
        return datetime(year, month, day, hour, minute, second, tzinfo=own).isoformat()
    except ValueError:
        return ""


def _offset(value: str) -> tzinfo:
    minutes = int(value[1:3]) * 60 + int(value[3:5])
    return timezone(timedelta(minutes=min(minutes, 1439) * (-1 if value[0] == "-" else 1)))


def dicom_moment(tags: Mapping[str, Any], zone: tzinfo) -> str:
    """When the study was acquired, as DTM with offset; "" where its tags do not tell. AcquisitionDateTime, else
    StudyDate and StudyTime, in TimezoneOffsetFromUTC, else `zone` (PS3.3 C.12.1.1.8)."""
    text = str(tags.get("AcquisitionDateTime") or f"{tags.get('StudyDate') or ''}{tags.get('StudyTime') or ''}")
    offset = str(tags.get("TimezoneOffsetFromUTC") or "")
    match = _TIME.match(text.replace(":", "").strip())
    found = moment(match[0], _offset(offset) if re.fullmatch(r"[+-]\d{4}", offset) else zone) if match else ""
    return datetime.fromisoformat(found).strftime("%Y%m%d%H%M%S%z") if found else ""
