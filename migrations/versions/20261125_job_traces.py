"""what continues the trace of a job"""

import sqlalchemy as sa
from alembic import op


revision = "a6d3e19c5b72"
down_revision = "c8f41d7a2e96"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trace", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("trace")
