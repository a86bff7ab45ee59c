"""Unified Procedure Steps (PS3.3 C.30, PS3.4 Annex CC): each line of the worklist as a workitem for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from adapters.dicom.content.qido import parse_match
from gateway.browsing import WorklistFilter
from gateway.case import CaseState, Completeness
from gateway.codes import ABNORMAL, NORMAL, UNDETERMINED, Code
from gateway.errors import Unreadable
from gateway.held import Match
from gateway.identity import workitem_uid
from gateway.ports import CaseView
from gateway.study import Instance, Tags
from gateway.triage import Band

PUSH, PULL, WATCH, QUERY = (f"1.2.840.10008.5.1.4.34.6.{n}" for n in (1, 3, 2, 5))
"""SOP classes; a workitem is an instance of UPS Push whichever is spoken (PS3.4 CC.3.1)."""
LABEL = "TRIAGE"
_PRIORITY = {Band.PATHOLOGY: "HIGH", Band.NEEDS_A_PERSON: "MEDIUM", Band.NOT_ANALYSED: "MEDIUM"}
_VERDICTS = {"normal": NORMAL, "pathology": ABNORMAL, "undetermined": UNDETERMINED}
_INTERPRETATION = Code("110005", "DCM", "Interpretation")
_ASSESSMENT = Code("111413", "DCM", "Overall Assessment")
_RISK = Code("RISK", "99TRIAGE", "Triage risk")
_NO_UNITS = Code("1", "UCUM", "no units")
_DEEPEST = 4


def priority_of(case: CaseView) -> str:
    """HIGH, MEDIUM or LOW: never higher than that of a line above it, so that sorting by it keeps the order."""
    return _PRIORITY.get(Band(case.band), "LOW")


def state_of(case: CaseView) -> str:
    """SCHEDULED until a person has read it; nobody claims workitems here, so none is IN PROGRESS."""
    if case.state == CaseState.CANCELLED:
        return "CANCELED"
    return "COMPLETED" if case.band == Band.READ else "SCHEDULED"


def workitem(case: CaseView, inputs: Sequence[Instance] = (), base: str = "") -> dict[str, Any]:
    """Keyword → value, sequences as lists of the same (Table CC.2.5-3).

    `inputs`: the objects to look at, ours included. `base`: URL of the DICOMweb service where they are fetched.
    """
    return {
        "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": PUSH, "SOPInstanceUID": workitem_uid(case.case_id),
        **_subject(case), **_schedule(case), **_step(case),
        "InputReadinessState": _readiness(case), "InputInformationSequence": _input_sequence(case, inputs, base),
        "StudyInstanceUID": case.study_instance_uid, "ReferencedRequestSequence": [_request(case)],
        "ReplacedProcedureStepSequence": []}


def _subject(case: CaseView) -> dict[str, Any]:
    return {"PatientName": case.patient_name, "PatientID": case.patient_id, "IssuerOfPatientID": "",
            "PatientBirthDate": case.patient_birth_date, "PatientSex": case.patient_sex, "AdmissionID": "",
            "IssuerOfAdmissionIDSequence": [], "AdmittingDiagnosesDescription": "",
            "AdmittingDiagnosesCodeSequence": []}


def _schedule(case: CaseView) -> dict[str, Any]:
    changed = max(t for t in (case.received_at, case.reported_at, case.read_at) if t)
    return {
        "ScheduledProcedureStepPriority": priority_of(case), "WorklistLabel": LABEL,
        "ProcedureStepLabel": f"Read {case.modality} {case.study_description}".strip()[:64],
        "ScheduledProcedureStepModificationDateTime": moment(changed),
        "ScheduledProcedureStepStartDateTime": moment(case.received_at),
        "ExpectedCompletionDateTime": moment(case.due_at) if case.due_at else "",
        "ScheduledWorkitemCodeSequence": [code_item(_INTERPRETATION)],
        "ScheduledProcessingParametersSequence": _result(case), "CommentsOnTheScheduledProcedureStep": _comment(case),
        "ScheduledStationNameCodeSequence": [], "ScheduledStationClassCodeSequence": [],
        "ScheduledStationGeographicLocationCodeSequence": [], "ScheduledHumanPerformersSequence": []}


def _step(case: CaseView) -> dict[str, Any]:
    performed = {"ActualHumanPerformersSequence": [], "PerformedStationNameCodeSequence": [],
                 "PerformedProcedureStepStartDateTime": moment(case.read_at or case.received_at),
                 "PerformedWorkitemCodeSequence": [code_item(_INTERPRETATION)],
                 "PerformedProcedureStepEndDateTime": moment(case.read_at or case.received_at),
                 "OutputInformationSequence": []}
    state = state_of(case)
    return {"ProcedureStepState": state, "ProcedureStepProgressInformationSequence": [],
            "UnifiedProcedureStepPerformedProcedureSequence": [performed] if state == "COMPLETED" else []}


def _readiness(case: CaseView) -> str:
    """READY once all that is known to belong to the study is here."""
    if case.state == CaseState.RECEIVING or case.completeness == Completeness.PARTIAL:
        return "INCOMPLETE"
    return "READY"


def _comment(case: CaseView) -> str:
    """State and result in words, as the worklist shows them."""
    told = [case.state if case.verdict is None else case.verdict]
    told += [f"risk {case.risk:.3f}"] if case.risk is not None else []
    told += ["demonstration model"] if case.demonstration else []
    return ". ".join(text for text in (", ".join(told), case.summary.rstrip("."), case.error.rstrip(".")) if text)


def _result(case: CaseView) -> list[dict[str, Any]]:
    """What the reading said, coded (PS3.3 10.2 content items); empty while there is no verdict."""
    verdict = _VERDICTS.get(case.verdict or "")
    if verdict is None:
        return []
    items: list[dict[str, Any]] = [{"ValueType": "CODE", "ConceptNameCodeSequence": [code_item(_ASSESSMENT)],
                                    "ConceptCodeSequence": [code_item(verdict)]}]
    if case.risk is not None:
        items.append({"ValueType": "NUMERIC", "ConceptNameCodeSequence": [code_item(_RISK)],
                      "NumericValue": round(case.risk, 6), "MeasurementUnitsCodeSequence": [code_item(_NO_UNITS)]})
    return items


def _request(case: CaseView) -> dict[str, Any]:
    return {"StudyInstanceUID": case.study_instance_uid, "AccessionNumber": case.accession_number,
            "IssuerOfAccessionNumberSequence": [], "RequestedProcedureID": "",
            "RequestedProcedureDescription": case.study_description[:64], "RequestedProcedureCodeSequence": []}


def _input_sequence(case: CaseView, inputs: Sequence[Instance], base: str) -> list[dict[str, Any]]:
    """One item for each series (Referenced Instances and Access Macro, Table 10-3b)."""
    series: dict[str, list[Instance]] = {}
    for instance in inputs:
        series.setdefault(instance.series_instance_uid, []).append(instance)
    return [{"TypeOfInstances": "DICOM", "StudyInstanceUID": case.study_instance_uid, "SeriesInstanceUID": uid,
             "ReferencedSOPSequence": [{"ReferencedSOPClassUID": i.sop_class_uid,
                                        "ReferencedSOPInstanceUID": i.sop_instance_uid} for i in held],
             **({"WADORSRetrievalSequence": [
                 {"RetrieveURL": f"{base}/studies/{case.study_instance_uid}/series/{uid}"}]} if base else {})}
            for uid, held in series.items()]


def code_item(code: Code) -> dict[str, Any]:
    return {"CodeValue": code.value, "CodingSchemeDesignator": code.scheme, "CodeMeaning": code.meaning[:64]}


def moment(at: datetime) -> str:
    """DT with offset (PS3.5 6.2)."""
    return at.strftime("%Y%m%d%H%M%S.%f%z")


# ---------------------------------------------------------------- questions and answers


def narrowed(wanted: Sequence[Match]) -> WorklistFilter:
    """The part of the worklist in which everything that matches stands: the rest is not looked at."""
    told = {m.keyword: m.values[0] for m in wanted if len(m.values) == 1 and not set(m.values[0]) & set("*?")}
    state = told.get("ProcedureStepState")
    words = [told[k] for k in ("PatientID", "ReferencedRequestSequence.AccessionNumber") if k in told]
    study = told.get("StudyInstanceUID") or told.get("ReferencedRequestSequence.StudyInstanceUID", "")
    return WorklistFilter(
        state=frozenset({CaseState.CANCELLED}) if state == "CANCELED" else frozenset(),
        read=True if state == "COMPLETED" else None, text=" ".join(words), study_instance_uid=study)


def asked(identifier: Dataset) -> tuple[Match, ...]:
    """The matching keys of a C-FIND identifier. Raises Unreadable."""
    return tuple(_asked(identifier, "", 0))


def _asked(identifier: Dataset, within: str, depth: int) -> Iterable[Match]:
    if depth > _DEEPEST:
        raise Unreadable("The identifier is nested too deeply.")
    for element in identifier:
        keyword = element.keyword
        if not keyword or keyword == "SpecificCharacterSet":
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _asked(item, f"{within}{keyword}.", depth + 1)
        elif text := _text(element.value):
            yield parse_match(within + keyword, text)


def _text(value: Any) -> str:
    """As a query writes it; universal matching is no condition."""
    values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    told = "\\".join("" if v is None else str(v) for v in values)
    return told if told.strip("*\\ ") else ""


def answered(identifier: Dataset, told: Mapping[str, Any]) -> Dataset:
    """Of a workitem the attributes that the identifier asks for, and its identity (PS3.4 CC.2.8.2)."""
    keep = {e.keyword for e in identifier} | {"SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID"}
    return to_dataset({keyword: value for keyword, value in told.items() if keyword in keep})


def to_dataset(tags: Tags) -> Dataset:
    made = Dataset()
    for keyword, value in tags.items():
        if dictionary_VR(keyword) == "SQ":
            value = [to_dataset(item) for item in value]
        setattr(made, keyword, value)
    return made
