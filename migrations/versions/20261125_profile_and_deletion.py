"""profile and deletion"""

import sqlalchemy as sa
from alembic import op


revision = "e7b3905ad2c4"
down_revision = "d58a07c3b1e9"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("display_name", sa.String(length=80), nullable=True))
        batch_op.add_column(
            sa.Column("theme", sa.String(length=10), nullable=False, server_default="system")
        )
        batch_op.add_column(
            sa.Column("deletion_asked_at", sa.DateTime(timezone=True), nullable=True)
        )


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_column("deletion_asked_at")
        batch_op.drop_column("theme")
        batch_op.drop_column("display_name")
