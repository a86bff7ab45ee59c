"""HL7 v3 Annotated ECG (ANSI/HL7 V3 ECG, R1) as `EcgSource`: the rhythm series of the first event."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, tzinfo

import numpy as np

from adapters.dicom.content.waveform_leads import in_standard_order, lead_of_text
from adapters.files.wfdb_source import digest_of
from adapters.files.xml_tree import Node, parse_xml
from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports import EcgSource
from gateway.study import Patient

NAMESPACE = "urn:hl7-org:v3"
_MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_LEAD = "MDC_ECG_LEAD_"
_TIME = re.compile(r"(\d{8})(\d{2})?(\d{2})?(\d{2})?(\.\d+)?([+-]\d{4})?")
_SUBJECT = ("componentOf", "timepointEvent", "componentOf", "subjectAssignment", "subject", "trialSubject")
_MOST_SAMPLES = 20_000_000


def is_aecg(content: bytes) -> bool:
    """Whether the beginning of a file names an AnnotatedECG."""
    return b"AnnotatedECG" in content[:4096].replace(b"\0", b"")


def read_aecg(content: bytes, *, zone: tzinfo = UTC) -> EcgSource:
    """The recording; times without offset are in `zone`. Key: a digest of the signals.

    Raises Unusable: no such XML, entities, no rhythm series, leads of different length or rate.
    """
    root = parse_xml(content)
    if root.name != "AnnotatedECG" or root.namespace != NAMESPACE:
        raise Unusable("the XML is no HL7 v3 AnnotatedECG")
    series = _rhythm(root)
    rate, leads, signal = _signals(series)
    recorded = _moment(series.told("value", "effectiveTime", "low") or series.told("value", "effectiveTime", "center")
                       or root.told("value", "effectiveTime", "low") or root.told("value", "effectiveTime", "center")
                       or root.told("value", "effectiveTime"), zone)
    return EcgSource(("aecg", digest_of(leads, rate, signal)), _patient(root), signal, rate, leads, recorded)


def _rhythm(root: Node) -> Node:
    found = list(root.every("component", "series"))
    rhythm = [series for series in found if series.told("code", "code") == "RHYTHM"]
    if not found:
        raise Unusable("the AnnotatedECG holds no series of waveforms")
    return (rhythm or found)[0]


def _signals(series: Node) -> tuple[float, tuple[str, ...], Floats]:
    """The first sequence set: its rate in Hz, the leads in standard order, and mV as (leads, samples)."""
    sequences = next(iter(series.every("component", "sequenceSet")), series)
    rate = 0.0
    rows: dict[str, Floats] = {}
    for sequence in sequences.every("component", "sequence"):
        code, value = sequence.told("code", "code"), sequence.first("value")
        if value is None:
            continue
        if code.startswith("TIME_"):
            rate = _rate(value)
        elif code.startswith(_LEAD):
            rows[_lead(code, rows)] = _row(value)
    if not rate or not rows:
        raise Unusable("the AnnotatedECG tells no time increment or no lead")
    if len({row.size for row in rows.values()}) != 1 or sum(row.size for row in rows.values()) > _MOST_SAMPLES:
        raise Unusable("the leads of the AnnotatedECG differ in length, or are too long for a resting ECG")
    names = list(rows)
    order = in_standard_order(names)
    return rate, tuple(names[i] for i in order), np.stack([rows[names[i]] for i in order])


def _lead(code: str, taken: dict[str, Floats]) -> str:
    name = lead_of_text(code) or code.removeprefix(_LEAD)[:16]
    if name in taken:
        raise Unusable("the AnnotatedECG tells one lead twice")
    return name


def _rate(value: Node) -> float:
    unit = _SECONDS.get(value.told("unit", "increment"))
    step = _number(value.told("value", "increment")) * (unit or math.nan)
    if not 1e-6 < step < 1:
        raise Unusable("the time increment of the AnnotatedECG is no length of time", element="increment")
    return round(1 / step, 6)


def _row(value: Node) -> Floats:
    scale_unit = _MILLIVOLTS.get(value.told("unit", "scale"))
    origin_unit = _MILLIVOLTS.get(value.told("unit", "origin") or value.told("unit", "scale"))
    if scale_unit is None or origin_unit is None:
        raise Unusable("a lead of the AnnotatedECG is no voltage", element="scale")
    scale = _number(value.told("value", "scale")) * scale_unit
    origin = _number(value.told("value", "origin") or "0") * origin_unit
    digits = value.first("digits")
    try:
        steps = np.array((digits.text if digits else "").split(), dtype=np.float64)
    except ValueError as error:
        raise Unusable("the digits of a lead of the AnnotatedECG are no numbers", element="digits") from error
    with np.errstate(over="ignore", invalid="ignore"):
        row = (steps * scale + origin).astype(np.float32)
    if not row.size or not np.isfinite(row).all():
        raise Unusable("a lead of the AnnotatedECG holds no samples, or one that is not finite", element="digits")
    return row


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unusable("a number of the AnnotatedECG is none")
    return value


def _patient(root: Node) -> Patient:
    subject = root.first(*_SUBJECT)
    if subject is None:
        return Patient("")
    person = ("subjectDemographicPerson",)
    sex = subject.told("code", *person, "administrativeGenderCode").upper()
    birth = subject.told("value", *person, "birthTime")[:8]
    return Patient(subject.told("extension", "id") or subject.told("root", "id"),
                   subject.told("root", "id") if subject.told("extension", "id") else "", _name(subject),
                   birth if birth.isdigit() and len(birth) == 8 else "", {"M": "M", "F": "F", "UN": "O"}.get(sex, ""))


def _name(subject: Node) -> str:
    name = subject.first("subjectDemographicPerson", "name")
    if name is None:
        return ""
    parts = [" ".join(part.text.strip() for part in name.every(kind)) for kind in ("family", "given")]
    return "^".join(parts).rstrip("^") or name.text.strip()


def _moment(text: str, zone: tzinfo) -> datetime:
    """TS of HL7 v3: YYYYMMDD[hhmm[ss[.ffff]]][±zzzz]."""
    found = _TIME.fullmatch(text)
    if not found:
        raise Unusable("the AnnotatedECG does not tell when it was recorded", element="effectiveTime")
    day, hour, minute, second, _, offset = found.groups()
    try:
        told = datetime.strptime(f"{day}{hour or '00'}{minute or '00'}{second or '00'}{offset or ''}",
                                 "%Y%m%d%H%M%S" + ("%z" if offset else ""))
        return (told if offset else told.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unusable("the time of the AnnotatedECG is none", element="effectiveTime") from error
