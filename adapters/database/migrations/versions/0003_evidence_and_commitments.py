"""What is heard of a study besides its objects, and storage commitment asked and answered"""

import sqlalchemy as sa
from alembic import op

from adapters.database.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.add_column("studies", sa.Column("evidence", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("studies", sa.Column("missing", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("studies", sa.Column("prior", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("runs", sa.Column("missing", sa.JSON(), server_default="[]", nullable=False))
    op.create_table(
        "evidence",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("facility"), _text("study_instance_uid"), _text("kind"), _text("identity"), _text("state"),
        _text("sender"),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("facility", "study_instance_uid", "kind", "identity",
                            name=op.f("uq_evidence_facility_study_instance_uid_kind_identity")))
    op.create_index("ix_evidence_identity", "evidence", ["identity"])
    op.create_table(
        "commitments",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("direction"), _text("peer"), _text("transaction_uid"), _text("sop_instance_uid"), _text("state"),
        _text("last_error"),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
        sa.UniqueConstraint("direction", "peer", "transaction_uid",
                            name=op.f("uq_commitments_direction_peer_transaction_uid")))
    op.create_index(op.f("ix_commitments_sop_instance_uid"), "commitments", ["sop_instance_uid"])
    op.create_index(op.f("ix_commitments_next_attempt_at"), "commitments", ["next_attempt_at"])
    op.create_table(
        "priors",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        _text("facility"), _text("study_instance_uid"), _text("prior_study_instance_uid"), _text("archive"),
        _text("archive_ae_title"), _text("state"), _text("error"),
        sa.Column("objects", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("wait_until", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_priors")),
        sa.UniqueConstraint("facility", "study_instance_uid", name=op.f("uq_priors_facility_study_instance_uid")))
    op.create_index(op.f("ix_priors_prior_study_instance_uid"), "priors", ["prior_study_instance_uid"])
    op.create_index(op.f("ix_priors_state"), "priors", ["state"])


def downgrade() -> None:
    op.drop_table("priors")
    op.drop_table("commitments")
    op.drop_table("evidence")
    op.drop_column("runs", "missing")
    op.drop_column("studies", "prior")
    op.drop_column("studies", "missing")
    op.drop_column("studies", "evidence")
