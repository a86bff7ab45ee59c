"""A result as OBX segments (HL7 2.5.1 §7.4.2): every statement once, flagged so that nothing unsure looks normal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap

from adapters.hl7.content.segments import escape
from gateway.case import Completeness, Reading
from gateway.codes import ABNORMAL, ABSENT, HL7_SYSTEMS, NORMAL, PRESENT, UNDETERMINED, Code
from gateway.phrases import phrase
from gateway.result import Finding, Measurement, Verdict

LOCAL = "99TRIAGE"
VERDICT, RISK, QUALITY, STATEMENT, PROBABILITY = "verdict", "risk", "quality", "statement", ".probability"
"""Our own observation identifiers (OBX-3.1 under 99TRIAGE); a finding's probability is `LABEL.probability`."""
STUDY_UID = "113014^DICOM Study^DCM"
ACCESSION = "121022^Accession Number^DCM"
VERDICT_CODES: dict[Verdict, Code] = {Verdict.NORMAL: NORMAL, Verdict.PATHOLOGY: ABNORMAL,
                                      Verdict.UNDETERMINED: UNDETERMINED}
_REPORT, _ECG_REPORT = "18748-4^Diagnostic imaging study^LN", "11524-6^EKG study^LN"
_RATIO = "1^no units^UCUM"
_LINE = 180
"""Characters of a line of the report: receivers that go by older lengths take no more than 200."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One OBX; every text is ER7, already escaped. `kind` OBX-2, `identifier` OBX-3, `group` OBX-4, `value` OBX-5,
    `units` OBX-6, `usual` OBX-7, `flag` OBX-8 (A, N, or empty: nobody may conclude anything)."""

    kind: str
    identifier: str
    value: str
    group: str = ""
    units: str = ""
    usual: str = ""
    flag: str = ""


def coded(code: Code, label: str = "", display: str = "") -> str:
    """CWE of the code, with our own label as the alternate."""
    text = f"{escape(code.value)}^{escape(code.meaning)}^{HL7_SYSTEMS[code.scheme]}"
    return f"{text}^{escape(label)}^{escape(display)}^{LOCAL}" if label else text


def observations(reading: Reading) -> list[Observation]:
    """Verdict, risk, findings, measurements, quality, what the documents belong to, and the report as text."""
    result = reading.result
    found = [_verdict(reading), _risk(reading)]
    for number, finding in enumerate(result.findings, 1):
        found += _finding(reading, finding, str(number))
    found += [_measurement(m) for m in result.measurements]
    found += [Observation("TX", _local(QUALITY, phrase(reading.language, "quality")),
                          escape(f"{problem.code}: {problem.text}"), group=str(number))
              for number, problem in enumerate(result.problems, 1)]
    found.append(Observation("ST", STUDY_UID, escape(reading.study.study_instance_uid)))
    if reading.study.accession_number:
        found.append(Observation("ST", ACCESSION, escape(reading.study.accession_number)))
    found.append(Observation("TX", _local(STATEMENT, phrase(reading.language, "report")), escape(_statement(reading))))
    return found + _report(reading)


def _local(identifier: str, text: str) -> str:
    return f"{escape(identifier)}^{escape(text)}^{LOCAL}"


def _flag(reading: Reading, abnormal: bool) -> str:
    """N only for a study that was read to its end, whole, with a verdict; A whenever abnormal (HL7 table 0078)."""
    if abnormal:
        return "A"
    sure = reading.result.verdict is not Verdict.UNDETERMINED and reading.completeness is not Completeness.PARTIAL
    return "N" if sure else ""


def _verdict(reading: Reading) -> Observation:
    verdict = reading.result.verdict
    value = coded(VERDICT_CODES[verdict], verdict.value, phrase(reading.language, verdict.value))
    return Observation("CWE", _local(VERDICT, phrase(reading.language, "verdict")), value,
                       flag=_flag(reading, verdict is Verdict.PATHOLOGY))


def _risk(reading: Reading) -> Observation:
    return Observation("NM", _local(RISK, phrase(reading.language, "risk")), f"{reading.result.risk:.3f}",
                       units=_RATIO, usual="0-1", flag=_flag(reading, reading.result.verdict is Verdict.PATHOLOGY))


def _finding(reading: Reading, finding: Finding, group: str) -> Iterator[Observation]:
    """Presence, probability against its threshold, and measurements, held together by OBX-4."""
    flag = _flag(reading, finding.present)
    word = phrase(reading.language, "present" if finding.present else "absent")
    presence = PRESENT if finding.present else ABSENT
    yield Observation("CWE", coded(finding.code, finding.label, finding.display),
                      coded(presence, "present" if finding.present else "absent", word), group=group, flag=flag)
    title = f"{finding.display}: {phrase(reading.language, 'probability').lower()}"
    probability, threshold = figures(finding)
    yield Observation("NM", _local(finding.label + PROBABILITY, title), probability, group=group,
                      units=_RATIO, usual=f"<{threshold}", flag=flag)
    for measurement in finding.measurements:
        yield _measurement(measurement, group)


def figures(finding: Finding) -> tuple[str, str]:
    """Probability and threshold in as many digits (three at least) as keep them on their own sides of each other."""
    for digits in range(3, 17):
        probability, threshold = f"{finding.probability:.{digits}f}", f"{finding.threshold:.{digits}f}"
        if (float(probability) >= float(threshold)) == finding.present:
            return probability, _shortened(threshold)
    # NM has no exponents (2.5.1 §2.A.47): every digit, where the two are next to each other or next to nothing.
    return format(Decimal(finding.probability), "f"), format(Decimal(finding.threshold), "f")


def _shortened(number: str) -> str:
    """0.500 → 0.50"""
    whole, fraction = number.split(".")
    return f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"


def _measurement(measurement: Measurement, group: str = "") -> Observation:
    return Observation("NM", coded(measurement.code), _number(measurement.value), group=group,
                       units=coded(measurement.unit))


def _number(value: float) -> str:
    """NM (2.5.1 §2.A.47): no exponent."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _statement(reading: Reading) -> str:
    return phrase(reading.language, "demonstration" if reading.result.demonstration else "decision_support")


def _report(reading: Reading) -> list[Observation]:
    modalities = {instance.tags.get("Modality") for instance in reading.selection.instances}
    identifier = _ECG_REPORT if modalities == {"ECG"} else _REPORT
    lines = [line for text in _lines(reading) for told in text.splitlines() for line in wrap(told, _LINE)]
    return [Observation("TX", identifier, escape(line), group=str(number)) for number, line in enumerate(lines, 1)]


def _lines(reading: Reading) -> Iterator[str]:
    result, language = reading.result, reading.language
    yield f"{phrase(language, 'report')} ({phrase(language, 'preliminary').lower()}). {_statement(reading)}"
    yield f"{phrase(language, 'verdict')}: {phrase(language, result.verdict.value)}"
    if result.verdict is Verdict.UNDETERMINED:
        yield phrase(language, "not_normal")
    if reading.incomplete:
        yield reading.incomplete
    yield f"{phrase(language, 'risk')}: {result.risk:.3f}"
    yield result.summary
    for finding in result.findings:
        probability, threshold = figures(finding)
        yield (f"{finding.display}: {phrase(language, 'present' if finding.present else 'absent')}; "
               f"{phrase(language, 'probability').lower()} {probability}, "
               f"{phrase(language, 'threshold').lower()} {threshold}")
    for problem in result.problems:
        yield f"{phrase(language, 'quality')}: {problem.text}"
    for model in result.provenance.models:
        yield f"{phrase(language, 'model')}: {model.name} {phrase(language, 'version')} {model.version}"
