"""Observations of a result: verdict, risk, one for each finding, one for each measurement of the study."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.bundle import Entry, update_in_place
from adapters.fhir.content.datatypes import Json, clean, coding, compact, concept, identifier, quantity, simple_concept
from adapters.fhir.content.frame import Frame, case_value
from gateway.codes import ABNORMAL, ABSENT, NORMAL, PRESENT, UNDETERMINED
from gateway.phrases import phrase
from gateway.result import Finding, Measurement, Verdict

VERDICT_CODES = {Verdict.NORMAL: NORMAL, Verdict.PATHOLOGY: ABNORMAL, Verdict.UNDETERMINED: UNDETERMINED}
_INTERPRETATIONS = {Verdict.NORMAL: ("N", "Normal"), Verdict.PATHOLOGY: ("A", "Abnormal"),
                    Verdict.UNDETERMINED: ("IND", "Indeterminate")}
_DIGITS = 3
"""Probability and risk are told to three digits, as in every other document."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Builds the Observations of one reading."""

    frame: Frame
    patient: Entry
    study: Entry
    device: Entry

    def entries(self) -> list[Entry]:
        result = self.frame.reading.result
        seen: Counter[str] = Counter()
        measured = []
        for measurement in result.measurements:
            seen[measurement.code.value] += 1
            measured.append(self._measurement(measurement, seen[measurement.code.value]))
        return [self._verdict(), self._risk(), *(self._finding(f) for f in result.findings), *measured]

    def _entry(self, key: tuple[str, ...], code: Json, content: Json) -> Entry:
        """`key` names the Observation within its case: stable over runs."""
        value = case_value(self.frame, *key)
        category = "procedure" if self.frame.modality in v.WAVEFORM_MODALITIES else "imaging"
        resource = compact({
            "resourceType": "Observation", "identifier": [identifier(v.OBSERVATION, value)], "status": "preliminary",
            "category": [simple_concept(v.OBSERVATION_CATEGORY, category, category.capitalize())], "code": code,
            "subject": self.patient.reference, "effectiveDateTime": self.frame.effective, "issued": self.frame.issued,
            **content, "device": self.device.reference, "derivedFrom": [self.study.reference]})
        return update_in_place(self.frame.url("Observation", *key), resource, v.OBSERVATION, value)

    def _verdict(self) -> Entry:
        reading = self.frame.reading
        verdict = reading.result.verdict
        told = concept(VERDICT_CODES[verdict], text=phrase(reading.language, verdict.value))
        return self._entry(("verdict",), concept(v.VERDICT, text=phrase(reading.language, "verdict")), {
            "valueCodeableConcept": told, "interpretation": _interpretation(verdict),
            "note": [{"text": clean(problem.text)} for problem in reading.result.problems if clean(problem.text)]})

    def _risk(self) -> Entry:
        reading = self.frame.reading
        code = concept(v.RISK, text=phrase(reading.language, "risk"))
        return self._entry(("risk",), code, quantity(reading.result.risk, v.NO_UNITS, _DIGITS))

    def _finding(self, finding: Finding) -> Entry:
        """Value: the calibrated probability. Components: threshold, presence, measurements."""
        language = self.frame.reading.language
        label = {"system": v.LABEL, "code": finding.label, "display": clean(finding.display)}
        code = compact({"coding": [coding(finding.code), label], "text": clean(finding.display)})
        presence = concept(PRESENT if finding.present else ABSENT,
                           text=phrase(language, "present" if finding.present else "absent"))
        components = [
            {"code": concept(v.THRESHOLD, text=phrase(language, "threshold")),
             **quantity(finding.threshold, v.NO_UNITS)},
            {"code": concept(v.PRESENCE), "valueCodeableConcept": presence},
            *({"code": concept(m.code, text=m.display), **_quantity(m)} for m in finding.measurements)]
        return self._entry(("finding", finding.label), code, {
            **quantity(finding.probability, v.NO_UNITS, _DIGITS),
            "interpretation": _interpretation(self._told(finding)), "component": components})

    def _told(self, finding: Finding) -> Verdict:
        """An absent finding is normal only where the study could be read to the end."""
        if finding.present:
            return Verdict.PATHOLOGY
        undetermined = self.frame.reading.result.verdict is Verdict.UNDETERMINED
        return Verdict.UNDETERMINED if undetermined else Verdict.NORMAL

    def _measurement(self, measurement: Measurement, number: int) -> Entry:
        key = ("measurement", measurement.code.value, *([str(number)] if number > 1 else []))
        return self._entry(key, concept(measurement.code, text=measurement.display), _quantity(measurement))


def _quantity(measurement: Measurement) -> Json:
    return quantity(measurement.value, replace(measurement.unit, meaning=measurement.unit_name))


def _interpretation(verdict: Verdict) -> list[Json]:
    return [simple_concept(v.INTERPRETATION, *_INTERPRETATIONS[verdict])]
