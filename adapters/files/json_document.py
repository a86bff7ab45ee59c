"""The result as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.case import Reading
from gateway.completion import missing_to_json
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.errors import Permanent
from gateway.identity import document_uid
from gateway.phrases import phrase
from gateway.pipeline import Picture
from gateway.result import Verdict
from gateway.result_json import from_json, to_json
from gateway.study import Study


class JsonEncoder:
    """`gateway.documents.Encoder` for kind `json`: UTF-8, keys sorted, times in UTC (ISO 8601)."""

    kind = Kind.JSON
    per_destination = False

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document:  # noqa: ARG002
        """Raises Permanent where a number of the result is none (NaN has no JSON)."""
        try:
            text = json.dumps(_form(reading), ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1)
        except ValueError as error:
            raise Permanent("the result holds a number that is not finite") from error
        return Document(Kind.JSON, document_uid(reading.run.run_id, "json"), text.encode() + b"\n")

    def read_back(self, document: Document) -> Claims:
        """Raises Permanent where the bytes are no such document."""
        try:
            return _claims(json.loads(document.content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Permanent("the JSON document cannot be read back") from error


def check(content: bytes) -> list[str]:
    """Sentences about what is wrong with a JSON document of ours, none where it is sound."""
    try:
        form = json.loads(content)
        result = from_json(form["result"])
        _claims(form)
        datetime.fromisoformat(form["created_at"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"no result document of ours ({type(error).__name__})"]
    told = [f["present"] for f in form["result"]["findings"]]
    return [] if told == [f.present for f in result.findings] else ["a finding's presence contradicts its threshold"]


def _form(reading: Reading) -> dict[str, Any]:
    run = reading.run
    return {
        "case_id": run.case_id, "run_id": run.run_id, "run_number": run.number,
        "predecessor_run_id": run.predecessor_run_id or None, "created_at": _moment(run.created_at),
        "facility": reading.facility, "language": reading.language, "completeness": reading.completeness.value,
        "missing": missing_to_json(reading.missing),
        "status": "preliminary", "notices": _notices(reading), "study": _study(reading.study),
        "result": to_json(reading.result),
    }


def _study(study: Study) -> dict[str, Any]:
    patient, order = study.patient, study.order
    return {
        "study_instance_uid": study.study_instance_uid, "accession_number": study.accession_number,
        "accession_issuer": study.accession_issuer,
        "patient": {"patient_id": patient.patient_id, "issuer": patient.issuer, "name": patient.name,
                    "birth_date": patient.birth_date, "sex": patient.sex},
        "placer_order_number": order.placer_order_number if order else "",
        "filler_order_number": order.filler_order_number if order else "",
        "study_date": study.tags.get("StudyDate"), "study_time": study.tags.get("StudyTime"),
        "received_at": _moment(max(i.received_at for i in study.instances)),
    }


def _notices(reading: Reading) -> list[str]:
    result = reading.result
    told = partial(phrase, reading.language)
    notices = [told("not_normal")] if result.verdict is Verdict.UNDETERMINED else []
    notices += [reading.incomplete] if reading.incomplete else []
    notices += [told("demonstration")] if result.demonstration else []
    return [*notices, told("decision_support")]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _claims(form: Mapping[str, Any]) -> Claims:
    study, result = form["study"], form["result"]
    findings = {f["label"]: (round(float(f["probability"]), 3), bool(f["present"])) for f in result["findings"]}
    return Claims(Kind.JSON, study["patient"]["patient_id"], study["study_instance_uid"], study["accession_number"],
                  str(result["verdict"]), float(result["risk"]), findings)
