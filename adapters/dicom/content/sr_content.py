"""The content tree of a structured report: TID 1500 Measurement Report with TID 1501 groups.

First an overall group (verdict, risk, sentences for people), then one group for each finding, last the result's own
measurements. Regions stand in TID 1501 (row 10c, or TID 300 under it) and not in TID 1410, so that groups with and
without a region are of one kind: PixelMed's validator holds all groups to TID 1410 as soon as one has an image region.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import Measurement as MeasurementItem
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from pydicom import Dataset
from pydicom.sr.codedict import codes

from adapters.dicom.content.common import MANUFACTURER, device_uid
from adapters.dicom.content.sr_codes import (
    COMMENT,
    CONCLUSION,
    LANGUAGES,
    NO_UNITS,
    OVERALL_ASSESSMENT,
    PRESENCE,
    PROBABILITY,
    QUALITY,
    RISK,
    THRESHOLD,
    VERDICTS,
    concept,
    finding_site,
    procedure_reported,
)
from adapters.dicom.content.sr_references import is_waveform, region_item, waveform_item, waveform_region_item
from gateway.case import Reading
from gateway.codes import ABSENT, PRESENT, Code
from gateway.identity import uid
from gateway.phrases import phrase
from gateway.result import Finding, ImageRegion, Measurement, Result, Verdict, WaveformRegion
from gateway.study import Instance

OVERALL = "Triage result"
MEASUREMENTS = "Measurements"


def measurement_report(reading: Reading, evidence: list[Instance]) -> Dataset:
    """The root CONTAINER item of the report over `evidence`. Raises Permanent for a region outside its image."""
    groups = [_overall(reading, evidence)]
    groups += [_finding(reading, finding, evidence) for finding in reading.result.findings]
    if reading.result.measurements:
        groups.append(_measurements(reading, evidence))
    value, meaning = LANGUAGES[reading.language]
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_device(reading)),
        procedure_reported=concept(procedure_reported(reading)),
        imaging_measurements=groups,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept(value, "RFC5646", meaning)),
    )
    root: Dataset = report[0]
    return root


def _device(reading: Reading) -> ObserverContext:
    provenance = reading.result.provenance
    return ObserverContext(codes.DCM.Device, DeviceObserverIdentifyingAttributes(
        uid=device_uid(reading), name=f"{MANUFACTURER} {provenance.pipeline}", manufacturer_name=MANUFACTURER,
        model_name=f"{provenance.pipeline} {provenance.pipeline_version}"))


def _overall(reading: Reading, evidence: list[Instance]) -> Group:
    result = reading.result
    scored = result.findings or result.verdict is not Verdict.UNDETERMINED
    measured = [_number(RISK, round(result.risk, 4), NO_UNITS)] if scored else []
    group = Group(
        tracking_identifier=_tracking(reading, OVERALL), algorithm_id=_algorithm(result), measurements=measured,
        qualitative_evaluations=[_evaluation(OVERALL_ASSESSMENT, VERDICTS[result.verdict])])
    _say(group, reading)
    _append(group[0], _waveforms(evidence))
    return group


def _say(group: Group, reading: Reading) -> None:
    """The sentences for people, as TEXT evaluations (TID 1501): conclusion, cautions, quality problems."""
    result = reading.result
    if result.summary:
        _append_text(group, CONCLUSION, [result.summary])
    told = partial(phrase, reading.language)
    cautions = [told("not_normal")] if result.verdict is Verdict.UNDETERMINED else []
    cautions += [reading.incomplete] if reading.incomplete else []
    cautions += [told("demonstration")] if result.demonstration else []
    _append_text(group, COMMENT, [*cautions, told("decision_support")])
    _append_text(group, QUALITY, [problem.text for problem in result.problems])


def _append_text(group: Group, name: Code, sentences: Iterable[str]) -> None:
    group[0].ContentSequence.extend(
        TextContentItem(concept(name), sentence, relationship_type="CONTAINS") for sentence in sentences)


def _finding(reading: Reading, finding: Finding, evidence: list[Instance]) -> Group:
    site = finding_site(reading)
    group = Group(
        tracking_identifier=_tracking(reading, finding.label), finding_type=concept(finding.code),
        finding_sites=[FindingSite(concept(site))] if site else None, algorithm_id=_algorithm(reading.result),
        measurements=[_number(PROBABILITY, told_probability(finding), NO_UNITS),
                      _number(THRESHOLD, finding.threshold, NO_UNITS), *map(_measurement, finding.measurements)],
        qualitative_evaluations=[_evaluation(PRESENCE, PRESENT if finding.present else ABSENT)])
    if finding.region:
        _locate(group, finding.region, evidence)
    return group


def _locate(group: Group, region: ImageRegion | WaveformRegion, evidence: list[Instance]) -> None:
    """An image region stands in the group, a waveform region under the probability that was inferred from it."""
    (instance,) = [i for i in evidence if i.sop_instance_uid == region.sop_instance_uid]
    if isinstance(region, ImageRegion):
        _append(group[0], [region_item(region, instance)])
    else:
        probability = next(i for i in group[0].ContentSequence if i.ValueType == "NUM")
        _append(probability, [waveform_region_item(region, instance)])


def _measurements(reading: Reading, evidence: list[Instance]) -> Group:
    group = Group(tracking_identifier=_tracking(reading, MEASUREMENTS), algorithm_id=_algorithm(reading.result),
                  measurements=[_measurement(m) for m in reading.result.measurements])
    _append(group[0], _waveforms(evidence))
    return group


def _waveforms(evidence: list[Instance]) -> list[Dataset]:
    return [waveform_item(i) for i in evidence if is_waveform(i)]


def _append(parent: Dataset, children: list[Dataset]) -> None:
    """Past highdicom's own ContentSequence, which takes no WAVEFORM."""
    if children:
        parent.add_new("ContentSequence", "SQ", [*parent.get("ContentSequence", []), *children])


def _tracking(reading: Reading, identifier: str) -> TrackingIdentifier:
    """The label for people; the UID follows the same thing through all runs of a case."""
    return TrackingIdentifier(uid=uid("tracking", reading.run.case_id, identifier), identifier=identifier)


def _algorithm(result: Result) -> AlgorithmIdentification:
    """TID 4019: the models that ran, joined by ` + `; their file hashes as parameters."""
    provenance = result.provenance
    pipeline = f"pipeline {provenance.pipeline} {provenance.pipeline_version}"
    if not provenance.models:
        return AlgorithmIdentification(provenance.pipeline, provenance.pipeline_version)
    return AlgorithmIdentification(
        name=" + ".join(m.name for m in provenance.models),
        version=" + ".join(m.version for m in provenance.models),
        parameters=[pipeline, *(f"{m.name} SHA-256 {m.sha256}" for m in provenance.models)])


def _evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(concept(name), concept(value))


def _measurement(measurement: Measurement) -> MeasurementItem:
    """Six significant digits: more would be noise of 32 bit floats."""
    return _number(measurement.code, float(f"{measurement.value:.6g}"), measurement.unit)


def _number(name: Code, value: float, unit: Code) -> MeasurementItem:
    """A NUM item whose Numeric Value (DS, 16 characters) is all there is to read."""
    item = MeasurementItem(concept(name), float(value), concept(unit))
    item[0].MeasuredValueSequence[0].pop("FloatingPointValue", None)
    return item


def told_probability(finding: Finding) -> float:
    """Four digits, unless rounding would seem to carry it over its threshold."""
    rounded = round(finding.probability, 4)
    return rounded if (rounded >= finding.threshold) == finding.present else finding.probability
