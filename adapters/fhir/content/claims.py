"""What a report says, read from its JSON alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.observations import VERDICT_CODES
from gateway.codes import ABSENT, PRESENT, Code
from gateway.delivery import Kind
from gateway.documents import Claims
from gateway.errors import Permanent

_VERDICTS = {code.value: verdict.value for verdict, code in VERDICT_CODES.items()}
_PRESENCE = {PRESENT.value: True, ABSENT.value: False}


def claims_of(content: bytes) -> Claims:
    """Follows the report's references. Raises Permanent: no report, a reference that leads nowhere, two verdicts."""
    try:
        bundle = json.loads(content)
        resources = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
        (report,) = (r for r in resources.values() if r["resourceType"] == "DiagnosticReport")
        return _claims(report, lambda told: resources[told["reference"]])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Permanent(f"the document is no FHIR report of ours ({type(error).__name__})") from error


def _claims(report: Json, resolve: Callable[[Json], Json]) -> Claims:
    patient, study = resolve(report["subject"]), resolve(report["imagingStudy"][0])
    observations = [resolve(told) for told in report["result"]]
    if any(resolve(o["subject"]) is not patient for o in (*observations, study)):
        raise Permanent("the parts of the FHIR report are about different patients")
    verdict = _VERDICTS[_code_in(report["conclusionCode"][0], v.SNOMED)]
    return Claims(
        Kind.DIAGNOSTIC_REPORT, _patient_id(patient), _study_uid(study), _accession_number(study),
        _agreed(verdict, observations), _risk(observations), dict(_findings(observations)))


def _agreed(verdict: str, observations: list[Json]) -> str:
    (told,) = (o["valueCodeableConcept"] for o in observations if _is(o, v.VERDICT))
    if _VERDICTS[_code_in(told, v.SNOMED)] != verdict:
        raise Permanent("the FHIR report and its verdict Observation disagree")
    return verdict


def _risk(observations: list[Json]) -> float:
    (told,) = (o["valueQuantity"]["value"] for o in observations if _is(o, v.RISK))
    return float(told)


def _findings(observations: list[Json]) -> Iterator[tuple[str, tuple[float, bool]]]:
    for observation in observations:
        labels = _codes(observation["code"], v.LABEL)
        if labels:
            (told,) = (c["valueCodeableConcept"] for c in observation["component"] if _is(c, v.PRESENCE))
            present = _PRESENCE[_code_in(told, v.SNOMED)]
            yield labels[0], (round(float(observation["valueQuantity"]["value"]), 3), present)


def _patient_id(patient: Json) -> str:
    return next((str(i["value"]) for i in patient["identifier"] if _type_code(i) == "MR"), "")


def _study_uid(study: Json) -> str:
    (value,) = (str(i["value"]) for i in study["identifier"] if i.get("system") == v.DICOM_UID)
    return value.removeprefix("urn:oid:")


def _accession_number(study: Json) -> str:
    return next((str(i["value"]) for i in study["identifier"] if _type_code(i) == "ACSN"), "")


def _type_code(identifier: Json) -> str:
    codes = _codes(identifier.get("type", {}), v.V2_IDENTIFIER_TYPE)
    return codes[0] if codes else ""


def _is(element: Json, code: Code) -> bool:
    return code.value in _codes(element["code"], code.system)


def _code_in(concept: Json, system: str) -> str:
    return _codes(concept, system)[0]


def _codes(concept: Any, system: str) -> list[str]:
    return [str(c["code"]) for c in concept.get("coding", []) if c.get("system") == system]
