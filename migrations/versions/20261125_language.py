"""language of mails"""

import sqlalchemy as sa
from alembic import op


revision = "a4d81c6f0b37"
down_revision = "a6d3e19c5b72"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("language", sa.String(length=10), nullable=False, server_default="en")
    )


def downgrade() -> None:
    op.drop_column("users", "language")
