"""A database with very many cases, written in bulk through the tables: the same rows for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import standing
from adapters.database.connection import DEFAULT_TRIAGE
from adapters.database.filtering import search_text
from adapters.database.studies import with_search
from adapters.database.tables import (
    case_findings,
    cases,
    deliveries,
    documents,
    instances,
    patients,
    runs,
    studies,
)
from gateway.identity import case_identity
from gateway.triage import place

LABELS = ("AFIB", "PVC", "CLBBB", "STACH", "LAD")
STATES = ("reported",) * 16 + ("failed", "unsupported", "waiting", "cancelled")
_RUN_STATES = {"failed": "failed", "cancelled": "cancelled", "waiting": "superseded"}
"""No run of the seed waits: there is nothing to read."""
_AT_ONCE = 5000
_FAMILIES = ("Ivanova", "Okafor", "Schmidt", "Moreau", "Tanaka", "García", "Иванов", "Lindqvist")


def seed(engine: sa.Engine, count: int, *, number: int = 1, now: datetime | None = None) -> None:
    """`count` studies, two for a patient, of one case and run and where reported, two documents and deliveries each."""
    made = _Rows(random.Random(number), now or datetime.now(UTC))
    with engine.begin() as connection:
        for start in range(1, count + 1, _AT_ONCE):
            rows = [made.study(n) for n in range(start, min(start + _AT_ONCE, count + 1))]
            for table in (patients, studies, instances, cases, case_findings, runs, documents, deliveries):
                wanted = [row for found in rows for row in found.get(table.name, ())]
                if wanted:
                    connection.execute(sa.insert(table), wanted)
        if engine.dialect.name == "postgresql":
            for table in ("patients", "studies", "instances", "documents", "deliveries"):
                connection.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 10000000)"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


class _Rows:
    def __init__(self, chance: random.Random, now: datetime) -> None:
        self._chance, self._now = chance, now

    def study(self, n: int) -> dict[str, list[dict[str, Any]]]:
        """The rows of study number `n`, by table."""
        at = self._now - timedelta(minutes=self._chance.randrange(90 * 24 * 60))
        uid, sop = f"1.2.826.0.1.3680043.9.1.{n}", f"1.2.826.0.1.3680043.9.2.{n}"
        columns = with_search({
            "id": n, "facility": "SITE", "study_instance_uid": uid, "patient_id": f"P{n // 2:06d}",
            "patient_issuer": "HOSP", "patient_name": f"{self._chance.choice(_FAMILIES)}^{n}",
            "patient_birth_date": "19600101", "patient_sex": "F", "accession_number": f"ACC{n:07d}",
            "modality": self._chance.choice(("ECG", "ECG", "CT", "MR")), "description": "Seeded study",
            "sender": "dicom:SEED", "first_received_at": at, "burst_started_at": at, "last_received_at": at,
            "instance_count": 1, "receiving": False, "completeness": "assumed"})
        instance = {"id": n, "study_id": n, "sop_instance_uid": sop, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.9.1.1",
                    "series_instance_uid": f"{uid}.1", "path": f"/nowhere/{n}.dcm", "digest": f"{n:064x}", "size": 1,
                    "tags": {"Modality": columns["modality"], "SOPInstanceUID": sop}, "received_at": at,
                    "sender": "dicom:SEED"}
        return {"patients": [_patient(columns)] if n == 1 or n % 2 == 0 else [], "studies": [columns],
                "instances": [instance], **self._case(n, uid, columns["modality"], at)}

    def _case(self, n: int, uid: str, modality: str, at: datetime) -> dict[str, list[dict[str, Any]]]:
        state = self._chance.choice(STATES)
        case_id, run_id = case_identity("SITE", uid, "ecg_12lead"), f"{n:024x}"
        probabilities = {label: round(self._chance.random() ** 4, 3) for label in LABELS}
        findings = [{"code": label, "display": label, "probability": p, "threshold": 0.5, "present": p >= 0.5}
                    for label, p in probabilities.items()] if state == "reported" else []
        present = sorted(f["code"] for f in findings if f["present"])
        row = {
            "case_id": case_id, "study_id": n, "pipeline": "ecg_12lead", "route": "resting ECG", "state": state,
            "run_id": run_id, "completeness": "assumed", "modality": modality, "summary": "", "error": "", "lead": True,
            "problems": [],
            "verdict": ("pathology" if present else "normal") if findings else "",
            "risk": max(probabilities.values()) if findings else None, "findings": findings,
            "priority": self._chance.choice(("routine",) * 8 + ("urgent", "stat")), "demonstration": n % 5 == 0,
            "received_at": at, "reported_at": at + timedelta(seconds=9) if findings else None, "late": False,
            "read_at": at + timedelta(hours=1) if findings and self._chance.random() < 0.6 else None}
        where = place(standing(row, conflict=False), self._now, DEFAULT_TRIAGE)
        row |= {"band": where.band, "weight": where.weight, "due_at": where.due_at, "rises_at": where.rises_at}
        run = {"run_id": run_id, "case_id": case_id, "number": 1, "state": _RUN_STATES.get(state, "reported"),
               "priority": row["priority"], "created_at": at,
               "finished_at": at, "last_instance_id": n, "destinations": ["PACS", "RIS"], "order_body": None,
               "result": None}
        return {"cases": [row], "case_findings": [{"code": code, "case_id": case_id} for code in present],
                "runs": [run], **(_told(n, case_id, run_id, at) if findings else {})}


def _patient(study: dict[str, Any]) -> dict[str, Any]:
    name = study["patient_name"]
    return {"facility": study["facility"], "issuer": study["patient_issuer"], "patient_id": study["patient_id"],
            "name": name, "birth_date": study["patient_birth_date"], "sex": study["patient_sex"],
            "search": search_text(name.replace("^", " "), study["patient_id"])}


def _told(n: int, case_id: str, run_id: str, at: datetime) -> dict[str, list[dict[str, Any]]]:
    ids = ((2 * n, "sr", "PACS"), (2 * n + 1, "oru", "RIS"))
    return {"documents": list(_documents(ids, case_id, run_id, at)), "deliveries": [
        {"id": number, "document_id": number, "run_id": run_id, "case_id": case_id, "destination": destination,
         "kind": kind, "state": "delivered", "attempts": 1, "created_at": at, "retry_from": at, "next_attempt_at": None,
         "delivered_at": at, "receipt": {"status": "0x0000"}} for number, kind, destination in ids]}


def _documents(ids: Any, case_id: str, run_id: str, at: datetime) -> Iterator[dict[str, Any]]:
    for number, kind, _ in ids:
        yield {"id": number, "run_id": run_id, "case_id": case_id, "kind": kind, "identity": f"2.25.{number}",
               "path": f"/nowhere/{number}.{kind}", "sha256": "0" * 64, "created_at": at}
