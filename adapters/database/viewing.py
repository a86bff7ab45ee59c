"""Implements gateway.viewing.ViewingRows and gateway.history.CaseHistory. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from adapters.database.studies import load_study, order_from_json
from adapters.database.tables import cases, documents, instances, runs, studies
from gateway.delivery import Kind
from gateway.history import Change, EarlierCase, RunFacts, why_read_again
from gateway.viewing import CaseSources


class CaseBackground:
    """What lies behind a case: its objects, its earlier readings, the patient's earlier studies."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def sources(self, case_id: str) -> CaseSources | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(cases.c.study_id, cases.c.run_id, runs.c.result,
                                               studies.c.files_deleted_at).join(
                studies, studies.c.id == cases.c.study_id).outerjoin(runs, runs.c.run_id == cases.c.run_id).where(
                cases.c.case_id == case_id)).first()
            if row is None:
                return None
            there = connection.execute(sa.select(instances.c.id).where(
                instances.c.study_id == row.study_id).limit(1)).first()
            kept = load_study(connection, row.study_id, None).instances if there else ()
            paths = {d.kind: d.path for d in connection.execute(sa.select(documents.c.kind, documents.c.path).where(
                documents.c.run_id == row.run_id, documents.c.path != ""))}
        result = row.result or {}
        return CaseSources(row.run_id, kept, tuple(result.get("evidence", ())), tuple(result.get("findings", ())),
                           paths.get(Kind.EVIDENCE.value, ""), row.files_deleted_at, result.get("provenance", {}),
                           frozenset(paths))

    def changes(self, case_id: str) -> Mapping[str, tuple[Change, ...]]:
        query = sa.select(runs.c.run_id, runs.c.last_instance_id, runs.c.order_body, runs.c.result).where(
            runs.c.case_id == case_id).order_by(runs.c.number)
        with self._engine.connect() as connection:
            facts = [_facts(row) for row in connection.execute(query)]
        return {after.run_id: why_read_again(before, after) for before, after in pairwise(facts)}

    def earlier(self, case_id: str, limit: int = 50) -> tuple[EarlierCase, ...]:
        with self._engine.connect() as connection:
            own = connection.execute(sa.select(studies).join(cases, cases.c.study_id == studies.c.id).where(
                cases.c.case_id == case_id)).first()
            if own is None or not own.patient_id:
                return ()
            rows = connection.execute(sa.select(
                cases, studies.c.modality.label("study_modality"), studies.c.description,
                studies.c.first_received_at).outerjoin_from(studies, cases, studies.c.id == cases.c.study_id).where(
                studies.c.facility == own.facility, studies.c.patient_id == own.patient_id,
                studies.c.patient_issuer == own.patient_issuer, studies.c.id != own.id).order_by(
                studies.c.first_received_at.desc(), cases.c.case_id).limit(limit)).all()
        return tuple(_earlier(row) for row in rows)


def _facts(row: Any) -> RunFacts:
    return RunFacts(row.run_id, row.last_instance_id, order_from_json(row.order_body),
                    (row.result or {}).get("provenance"))


def _earlier(row: Any) -> EarlierCase:
    found = tuple(finding["display"] for finding in row.findings or () if finding["present"])
    return EarlierCase(row.case_id or "", row.study_modality, row.description, row.first_received_at, row.state or "",
                       row.verdict or "", row.risk, found, bool(row.demonstration))
