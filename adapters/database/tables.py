"""The gateway's tables, the same on SQLite and PostgreSQL. Migrations under migrations/ bring a database to this."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """Aware UTC in Python; stored without offset, so that both databases compare alike."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without offset cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        """In one step: lists hold hundreds of times, and SQLite's are texts."""
        return _of_text if dialect.name == "sqlite" else _of_plain


def _of_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


def _of_plain(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=_NAMES)
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="", **more)


studies = sa.Table(
    "studies", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("facility"), _text("study_instance_uid"), _text("patient_id"), _text("patient_issuer"), _text("patient_name"),
    _text("patient_birth_date"), _text("patient_sex"), _text("accession_number", index=True), _text("accession_issuer"),
    _text("modality"), _text("description"), _text("sender"),
    sa.Column("first_received_at", UtcDateTime, nullable=False),
    sa.Column("burst_started_at", UtcDateTime, nullable=False),
    sa.Column("last_received_at", UtcDateTime, nullable=False, index=True),
    sa.Column("instance_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("receiving", sa.Boolean, nullable=False, index=True),
    sa.Column("replan", sa.Boolean, nullable=False, server_default=sa.false(), index=True),
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    _text("completeness"),
    _text("order_id", index=True), _text("order_conflict"),
    sa.Column("conflict", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("files_deleted_at", UtcDateTime),
    sa.Column("evidence", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("missing", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("prior", sa.Boolean, nullable=False, server_default=sa.false()),
    _text("search", index=True),
    sa.UniqueConstraint("facility", "study_instance_uid"),
)
sa.Index("ix_studies_patient", studies.c.facility, studies.c.patient_id, studies.c.patient_issuer)

instances = sa.Table(
    "instances", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("study_id", _Id, sa.ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    _text("sop_instance_uid", index=True), _text("sop_class_uid"), _text("series_instance_uid"),
    _text("transfer_syntax_uid"), _text("path", unique=True), _text("digest"), _text("sender"),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("conflict", sa.Boolean, nullable=False, server_default=sa.false()),
)

evidence = sa.Table(
    "evidence", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("facility"), _text("study_instance_uid"), _text("kind"), _text("identity", index=True), _text("state"),
    _text("sender"),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("heard_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("facility", "study_instance_uid", "kind", "identity"),
)

commitments = sa.Table(
    "commitments", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("direction"), _text("peer"), _text("transaction_uid"), _text("sop_instance_uid", index=True), _text("state"),
    _text("last_error"),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False), sa.Column("answered_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("next_attempt_at", UtcDateTime, index=True),
    sa.UniqueConstraint("direction", "peer", "transaction_uid"),
)

priors = sa.Table(
    "priors", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("facility"), _text("study_instance_uid"), _text("prior_study_instance_uid", index=True), _text("archive"),
    _text("archive_ae_title"), _text("state", index=True), _text("error"),
    sa.Column("objects", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asked_at", UtcDateTime, nullable=False), sa.Column("wait_until", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.UniqueConstraint("facility", "study_instance_uid"),
)

patients = sa.Table(
    "patients", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("facility"), _text("issuer"), _text("patient_id"), _text("name"), _text("birth_date"), _text("sex"),
    _text("alias_issuer"), _text("alias_patient_id"), _text("search"),
    sa.UniqueConstraint("facility", "issuer", "patient_id"),
)

orders = sa.Table(
    "orders", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("order_id", unique=True), _text("facility"), _text("accession_number", index=True),
    _text("study_instance_uid", index=True), _text("patient_id"),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
)

messages = sa.Table(
    "messages", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("sender"), _text("control_id"),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("pending", sa.Boolean, nullable=False),
    sa.UniqueConstraint("sender", "control_id"),
)
sa.Index("ix_messages_pending", messages.c.id, sqlite_where=sa.text("pending = 1"),
         postgresql_where=sa.text("pending"))

senders = sa.Table(
    "senders", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("last_heard_at", UtcDateTime, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)

cases = sa.Table(
    "cases", metadata,
    sa.Column("case_id", sa.Text, primary_key=True),
    sa.Column("study_id", _Id, sa.ForeignKey("studies.id", ondelete="CASCADE"), nullable=False),
    _text("pipeline"), _text("route"), _text("state", index=True), _text("run_id"), _text("completeness"),
    _text("verdict"), _text("priority"), _text("modality"),
    sa.Column("risk", sa.Float),
    sa.Column("findings", sa.JSON, nullable=False), sa.Column("problems", sa.JSON, nullable=False),
    _text("summary"), _text("error"),
    sa.Column("demonstration", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("reported_at", UtcDateTime), sa.Column("read_at", UtcDateTime),
    sa.Column("priority_fixed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("late", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("lead", sa.Boolean, nullable=False),
    sa.Column("band", sa.Integer, nullable=False), sa.Column("weight", sa.Float, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("rises_at", UtcDateTime, index=True),
)
sa.Index("ix_cases_worklist", cases.c.lead, cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id)
sa.Index("ix_cases_read", cases.c.lead, cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id,
         sqlite_where=cases.c.read_at.is_not(None), postgresql_where=cases.c.read_at.is_not(None))
for _chosen in (("verdict",), ("state",), ("priority",), ("modality",), ("modality", "verdict")):
    # The same order within what is filtered by: its first page needs no walk past all that is sicker.
    sa.Index(f"ix_cases_by_{'_'.join(_chosen)}", cases.c.lead, *(cases.c[name] for name in _chosen),
             cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id)

sa.Index("ix_cases_counts", cases.c.lead, cases.c.verdict, cases.c.state, cases.c.priority, cases.c.modality,
         cases.c.pipeline)
sa.Index("ix_cases_study", cases.c.study_id, cases.c.lead, cases.c.verdict, cases.c.state, cases.c.priority,
         cases.c.modality)
sa.Index("ix_cases_found", cases.c.case_id, cases.c.lead, cases.c.verdict, cases.c.state, cases.c.priority,
         cases.c.modality)

placeholders = sa.Table(
    "placeholders", metadata,
    sa.Column("case_id", sa.Text, primary_key=True),
    sa.Column("study_id", _Id, sa.ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
)
"""Cases of studies being received, gone since a pipeline's took their place: whoever holds their id finds those."""

case_findings = sa.Table(
    "case_findings", metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", ondelete="CASCADE"), primary_key=True, index=True),
)

feedback = sa.Table(
    "feedback", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", ondelete="CASCADE"), nullable=False, index=True),
    _text("run_id"), _text("given_by"), _text("verdict"), _text("comment"),
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("given_at", UtcDateTime, nullable=False),
)

audit = sa.Table(
    "audit", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    _text("who"), _text("action"), _text("subject"),
    sa.Column("detail", sa.JSON, nullable=False),
)

saved_views = sa.Table(
    "saved_views", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    _text("owner"), _text("name"),
    sa.Column("query", sa.JSON, nullable=False),
    sa.UniqueConstraint("owner", "name"),
)

runs = sa.Table(
    "runs", metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    _text("state", index=True), _text("predecessor_run_id"), _text("completeness"), _text("priority"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", UtcDateTime, nullable=False), sa.Column("finished_at", UtcDateTime),
    sa.Column("last_instance_id", _Id, nullable=False),
    sa.Column("missing", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("evidence", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("order_body", sa.JSON), sa.Column("destinations", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON), _text("error"),
)

documents = sa.Table(
    "documents", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id", ondelete="CASCADE"), nullable=False),
    _text("case_id", index=True), _text("kind"), _text("destination"), _text("identity", index=True),
    _text("sop_class_uid"), _text("path"), _text("sha256"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("run_id", "kind", "destination", "identity"),
)

deliveries = sa.Table(
    "deliveries", metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("document_id", _Id, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    _text("run_id", index=True), _text("case_id", index=True), _text("destination"), _text("kind"),
    _text("state"), _text("last_error"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("after_id", _Id),
    sa.Column("created_at", UtcDateTime, nullable=False), sa.Column("retry_from", UtcDateTime, nullable=False),
    sa.Column("next_attempt_at", UtcDateTime), sa.Column("delivered_at", UtcDateTime),
    sa.Column("receipt", sa.JSON, nullable=False),
    sa.UniqueConstraint("document_id", "destination"),
)
sa.Index("ix_deliveries_state", deliveries.c.state, deliveries.c.next_attempt_at)
sa.Index("ix_deliveries_destination", deliveries.c.destination, deliveries.c.state, deliveries.c.delivered_at)

executors = sa.Table(
    "executors", metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("heartbeat_at", UtcDateTime, nullable=False),
)

facts = sa.Table(
    "facts", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)
