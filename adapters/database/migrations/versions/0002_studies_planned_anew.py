"""Studies say when they must be planned anew, cases when objects came after their result"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("replan", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("studies", sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_studies_replan", "studies", ["replan"], unique=False)
    op.add_column("cases", sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("cases", "late")
    op.drop_index("ix_studies_replan", "studies")
    op.drop_column("studies", "revision")
    op.drop_column("studies", "replan")
