"""Cases rise while they wait, are found by finding and by text; what people say of results, and who did what"""

import sqlalchemy as sa
from alembic import op

from adapters.database.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_PARTS = "ix_{}_search_parts"
_FILTERED_BY = (("verdict",), ("state",), ("priority",), ("modality",), ("modality", "verdict"))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.add_column("cases", sa.Column("rises_at", UtcDateTime()))
    op.add_column("cases", _text("modality"))
    op.create_index("ix_cases_rises_at", "cases", ["rises_at"])
    op.drop_index("ix_cases_study_id", "cases")
    op.create_index("ix_cases_study", "cases", ["study_id", "lead", "verdict", "state", "priority", "modality"])
    op.create_index("ix_cases_found", "cases", ["case_id", "lead", "verdict", "state", "priority", "modality"])
    op.create_index("ix_cases_counts", "cases", ["lead", "verdict", "state", "priority", "modality", "pipeline"])
    order = ["band", "weight", "due_at", "case_id"]
    for chosen in _FILTERED_BY:
        op.create_index(f"ix_cases_by_{'_'.join(chosen)}", "cases", ["lead", *chosen, *order])
    op.create_index("ix_cases_read", "cases", ["lead", *order], sqlite_where=sa.text("read_at IS NOT NULL"),
                    postgresql_where=sa.text("read_at IS NOT NULL"))
    op.add_column("studies", _text("search"))
    op.add_column("patients", _text("search"))
    op.create_index("ix_studies_search", "studies", ["search"])
    op.create_index("ix_studies_patient", "studies", ["facility", "patient_id", "patient_issuer"])
    op.create_index("ix_deliveries_destination", "deliveries", ["destination", "state", "delivered_at"])
    op.create_table(
        "case_findings",
        sa.Column("code", sa.Text(), nullable=False), sa.Column("case_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_case_findings_case_id"),
                                ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("code", "case_id", name=op.f("pk_case_findings")))
    op.create_index("ix_case_findings_case_id", "case_findings", ["case_id"])
    op.create_table(
        "feedback",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        _text("run_id"), _text("given_by"), _text("verdict"), _text("comment"),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_feedback_case_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")))
    op.create_index("ix_feedback_case_id", "feedback", ["case_id"])
    op.create_table(
        "audit",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        _text("who"), _text("action"), _text("subject"),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")))
    op.create_table(
        "saved_views",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("owner"), _text("name"),
        sa.Column("query", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_views_owner_name")))
    _fill(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        _index_parts_of_words(op.get_bind())


def _index_parts_of_words(connection: sa.Connection) -> None:
    """Trigrams find a part of a word without reading all rows, where PostgreSQL has them and lets the owner add them;
    where not, a search reads all rows, as on SQLite."""
    if not connection.scalar(sa.text("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'")):
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except sa.exc.ProgrammingError:
        return
    for table in ("studies", "patients"):
        connection.execute(sa.text(
            f"CREATE INDEX {_PARTS.format(table)} ON {table} USING gin (search gin_trgm_ops)"))


def _fill(connection: sa.Connection) -> None:
    """What is there already can be found like what comes."""
    studies = sa.table("studies", *map(sa.column, ("id", "patient_name", "patient_id", "accession_number", "search")))
    marks = str.maketrans("^=", "  ")
    told = [{"key": row.id, "told": " ".join(part for part in (row.patient_name.translate(marks), row.patient_id,
                                                               row.accession_number) if part).casefold()}
            for row in connection.execute(sa.select(studies))]
    if told:
        connection.execute(sa.update(studies).where(studies.c.id == sa.bindparam("key")).values(
            search=sa.bindparam("told")), told)
    _fill_patients(connection, marks)
    cases = sa.table("cases", sa.column("case_id"), sa.column("findings", sa.JSON))
    found = sa.table("case_findings", sa.column("code"), sa.column("case_id"))
    present = {(finding["code"], row.case_id) for row in connection.execute(sa.select(cases))
               for finding in row.findings if finding["present"]}
    if present:
        connection.execute(sa.insert(found), [{"code": code, "case_id": case} for code, case in sorted(present)])
    connection.execute(sa.text("UPDATE cases SET modality = (SELECT s.modality FROM studies s WHERE s.id = study_id)"))
    connection.execute(sa.text("UPDATE cases SET rises_at = due_at WHERE read_at IS NULL AND state <> 'cancelled'"))


def _fill_patients(connection: sa.Connection, marks: dict[int, int]) -> None:
    """Whoever has a study is a patient, and all can be found."""
    connection.execute(sa.text(
        "INSERT INTO patients (facility, issuer, patient_id, name, birth_date, sex)"
        " SELECT s.facility, s.patient_issuer, s.patient_id, MAX(s.patient_name), MAX(s.patient_birth_date),"
        " MAX(s.patient_sex) FROM studies s WHERE s.patient_id <> '' AND NOT EXISTS (SELECT 1 FROM patients p"
        " WHERE p.facility = s.facility AND p.issuer = s.patient_issuer AND p.patient_id = s.patient_id)"
        " GROUP BY s.facility, s.patient_issuer, s.patient_id"))
    patients = sa.table("patients", *map(sa.column, ("id", "name", "patient_id", "search")))
    told = [{"key": row.id, "told": " ".join(part for part in (row.name.translate(marks), row.patient_id)
                                             if part).casefold()} for row in connection.execute(sa.select(patients))]
    if told:
        connection.execute(sa.update(patients).where(patients.c.id == sa.bindparam("key")).values(
            search=sa.bindparam("told")), told)


def downgrade() -> None:
    for table in ("studies", "patients"):
        op.drop_index(_PARTS.format(table), table, if_exists=True)
    for table in ("saved_views", "audit", "feedback", "case_findings"):
        op.drop_table(table)
    op.drop_index("ix_deliveries_destination", "deliveries")
    op.drop_index("ix_studies_patient", "studies")
    op.drop_index("ix_studies_search", "studies")
    op.drop_column("studies", "search")
    op.drop_column("patients", "search")
    op.drop_index("ix_cases_read", "cases")
    for chosen in _FILTERED_BY:
        op.drop_index(f"ix_cases_by_{'_'.join(chosen)}", "cases")
    op.drop_index("ix_cases_counts", "cases")
    op.drop_index("ix_cases_found", "cases")
    op.drop_index("ix_cases_study", "cases")
    op.create_index("ix_cases_study_id", "cases", ["study_id"])
    op.drop_index("ix_cases_rises_at", "cases")
    op.drop_column("cases", "modality")
    op.drop_column("cases", "rises_at")
