"""an index of the jobs that are dead or held"""

import sqlalchemy as sa
from alembic import op


revision = "c8f41d7a2e96"
down_revision = "f0c6d24b8e15"
branch_labels = None
depends_on = None

BURIED = "state IN ('dead', 'held')"


def upgrade() -> None:
    op.create_index(
        "ix_jobs_buried",
        "jobs",
        ["task", "state"],
        sqlite_where=sa.text(BURIED),
        postgresql_where=sa.text(BURIED),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_buried", table_name="jobs")
