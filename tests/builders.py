"""Readings for tests: made of plain values, no files needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.case import Completeness, Reading, Run
from gateway.codes import Code
from gateway.identity import case_identity, digest, uid
from gateway.pipeline import Selection
from gateway.result import (
    Finding,
    ImageRegion,
    Measurement,
    ModelRelease,
    Problem,
    Provenance,
    Result,
    Verdict,
    WaveformRegion,
    risk_of,
)
from gateway.study import Instance, Order, Patient, Priority, Series, Study

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ECG_STORAGE = "1.2.840.10008.5.1.4.1.1.9.1.1"
CREATED_AT = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)

ECG_CODES = {
    "1AVB": Code("270492004", "SCT", "First degree atrioventricular block"),
    "PVC": Code("17338001", "SCT", "Ventricular premature beats"),
    "PAC": Code("284470004", "SCT", "Premature atrial contraction"),
    "IRBBB": Code("713426002", "SCT", "Incomplete right bundle branch block"),
    "LAD": Code("39732003", "SCT", "Left axis deviation"),
    "RAD": Code("47665007", "SCT", "Right axis deviation"),
    "CLBBB": Code("733534002", "SCT", "Complete left bundle branch block"),
    "CRBBB": Code("713427006", "SCT", "Complete right bundle branch block"),
    "SBRAD": Code("49710005", "SCT", "Sinus bradycardia"),
    "STACH": Code("11092001", "SCT", "Sinus tachycardia"),
    "AFIB": Code("49436004", "SCT", "Atrial fibrillation"),
}
CT_CODES = {
    "opacity": Code("95436008", "SCT", "Lung consolidation"),
    "nodule": Code("427359005", "SCT", "Solitary nodule of lung"),
    "effusion": Code("60046008", "SCT", "Pleural effusion"),
    "emphysema": Code("87433001", "SCT", "Pulmonary emphysema"),
}
NO_UNITS = Code("1", "UCUM", "no units")


def patient(**overrides: Any) -> Patient:
    fields = {"patient_id": "P-1001", "issuer": "HOSP", "name": "Muster^Erika^^Dr.", "birth_date": "19611112",
              "sex": "F"}
    return Patient(**(fields | overrides))


def order(of: Patient | None = None, **overrides: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "o-1", "facility": "SITE", "patient": of or patient(), "accession_number": "ACC-77",
        "placer_order_number": "PL-1", "filler_order_number": "FI-1", "priority": Priority.STAT,
        "clinical_question": "Chest pain?", "requested_procedure_code": "24627-2",
        "requested_procedure_scheme": "LN", "requested_procedure_text": "CT Chest",
        "referring_physician": "House^Gregory",
    }
    return Order(**(fields | overrides))


def instance(kind: str, number: int, tags: dict[str, Any], study_uid: str, series_uid: str) -> Instance:
    sop = uid("instance", study_uid, str(number))
    sop_class = CT_STORAGE if kind == "ct" else ECG_STORAGE
    own = {"SOPInstanceUID": sop, "SOPClassUID": sop_class, "InstanceNumber": number, **tags}
    return Instance(sop, sop_class, study_uid, series_uid, "1.2.840.10008.1.2.1", f"/nowhere/{number}.dcm", 1000,
                    digest(sop), own, CREATED_AT, "TEST")


def tags(kind: str, of: Patient, study_uid: str, **overrides: Any) -> dict[str, Any]:
    modality = "CT" if kind == "ct" else "ECG"
    base: dict[str, Any] = {
        "PatientName": of.name, "PatientID": of.patient_id, "PatientBirthDate": of.birth_date, "PatientSex": of.sex,
        "StudyInstanceUID": study_uid, "StudyDate": "20260314", "StudyTime": "101500", "StudyID": "S1",
        "StudyDescription": "Chest" if kind == "ct" else "Resting ECG", "ReferringPhysicianName": "House^Gregory",
        "AccessionNumber": "ACC-77", "Modality": modality, "SeriesNumber": 1,
    }
    if kind == "ct":
        base |= {"Rows": 512, "Columns": 512}
    return base | overrides


def study(kind: str = "ct", *, of: Patient | None = None, instances: int | None = None,
          study_uid: str = "", **overrides: Any) -> Study:
    """`instances`: how many objects (64 slices or one ECG unless told). `tags`: merged over the usual ones."""
    who = of or patient()
    study_uid = study_uid or uid("study", kind, who.patient_id)
    series_uid = uid("series", study_uid)
    told = tags(kind, who, study_uid, **overrides.pop("tags", {}))
    count = instances or (64 if kind == "ct" else 1)
    held = tuple(instance(kind, n, told, study_uid, series_uid) for n in range(1, count + 1))
    fields: dict[str, Any] = {
        "facility": "SITE", "study_instance_uid": study_uid, "patient": who, "accession_number": "ACC-77",
        "series": (Series(series_uid, str(told["Modality"]), held),), "order": order(who),
    }
    return Study(**(fields | overrides))


def findings(kind: str, verdict: Verdict, of: Study) -> tuple[Finding, ...]:
    """All labels of the kind; with `pathology` the first is present and carries a region and a measurement."""
    codes = CT_CODES if kind == "ct" else ECG_CODES
    made = [Finding(label, code, code.meaning, round(0.05 + 0.01 * n, 2), 0.5, 0.6) for n, (label, code) in
            enumerate(codes.items())]
    if verdict is Verdict.PATHOLOGY:
        made[0] = replace(made[0], probability=0.9137, region=_region(kind, of), measurements=(_size(kind),))
    return tuple(made)


def _region(kind: str, of: Study) -> ImageRegion | WaveformRegion:
    sop = of.instances[len(of.instances) // 2].sop_instance_uid
    if kind == "ct":
        return ImageRegion(sop, 100.5, 120.0, 180.0, 200.25)
    return WaveformRegion(sop, ((1, 1), (1, 2), (1, 7)), 0.4, 2.6)


def _size(kind: str) -> Measurement:
    if kind == "ct":
        return Measurement(Code("81827009", "SCT", "Diameter"), 31.5, Code("mm", "UCUM", "mm"))
    return Measurement(Code("8625-6", "LN", "P-R Interval"), 231.0, Code("ms", "UCUM", "ms"))


def model(kind: str = "ct", **overrides: Any) -> ModelRelease:
    fields: dict[str, Any] = {
        "name": "chest_ct_classifier" if kind == "ct" else "ecg_12lead", "version": "1", "sha256": "ab" * 32,
        "demonstration": kind == "ct",
        "status": "demonstration: trained on synthetic chests" if kind == "ct" else "validated on PTB-XL folds 9-10",
    }
    return ModelRelease(**(fields | overrides))


def result(kind: str = "ct", verdict: Verdict = Verdict.PATHOLOGY, of: Study | None = None,
           **overrides: Any) -> Result:
    of = of or study(kind)
    found = overrides.pop("findings", findings(kind, verdict, of))
    problems: tuple[Problem, ...] = ()
    if verdict is Verdict.UNDETERMINED:
        problems = (Problem("too-few-slices", "Only 4 slices, 20 are needed."),)
    rate = Measurement(Code("8867-4", "LN", "Heart rate"), 71.0, Code("{H.B.}/min", "UCUM", "beats per minute"))
    volume = Measurement(Code("99001", "99TRIAGE", "Opacified share of the lungs"), 0.031, NO_UNITS)
    fields: dict[str, Any] = {
        "verdict": verdict, "risk": risk_of(found), "findings": found,
        "provenance": Provenance("chest_ct" if kind == "ct" else "ecg_12lead", "1.0.0", (model(kind),)),
        "evidence": tuple(i.sop_instance_uid for i in of.instances),
        "measurements": (volume if kind == "ct" else rate,), "problems": problems,
        "summary": "Opacity in the right lung." if kind == "ct" else "First degree atrioventricular block.",
    }
    return Result(**(fields | overrides))


def run(of: Study, pipeline: str, **overrides: Any) -> Run:
    case_id = case_identity(of.facility, of.study_instance_uid, pipeline)
    fields: dict[str, Any] = {"run_id": digest("run", case_id)[:24], "case_id": case_id, "number": 1,
                              "created_at": CREATED_AT}
    return Run(**(fields | overrides))


def reading(kind: str = "ct", verdict: Verdict | str = Verdict.PATHOLOGY, **overrides: Any) -> Reading:
    """A whole reading. `overrides` are fields of `Reading`; or `result_fields`, `study_fields`, `run_fields` (dicts
    handed to `result`, `study`, `run`) and `findings`, `problems`, which are put into the result."""
    into_result: dict[str, Any] = overrides.pop("result_fields", {})
    for name in ("findings", "problems"):
        if name in overrides:
            into_result[name] = overrides.pop(name)
    of = overrides.pop("study", None) or study(kind, **overrides.pop("study_fields", {}))
    told = overrides.pop("result", None) or result(kind, Verdict(verdict), of, **into_result)
    read = set(told.evidence)
    selected = tuple(i for i in of.instances if i.sop_instance_uid in read)
    fields: dict[str, Any] = {
        "run": run(of, told.provenance.pipeline, **overrides.pop("run_fields", {})), "study": of,
        "selection": Selection(selected), "result": told, "facility": of.facility, "timezone": "Europe/Berlin",
        "language": "en", "completeness": Completeness.COMPLETE,
    }
    return Reading(**(fields | overrides))


def problems(*codes: str) -> Sequence[Problem]:
    return tuple(Problem(code, f"The study has {code}.") for code in codes)
