"""two factors"""

import sqlalchemy as sa
from alembic import op


revision = "c7e0a41d9b25"
down_revision = "b51d7d2f4c10"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_recovery_codes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"])
    op.add_column("users", sa.Column("tf_primary_method", sa.String(length=64), nullable=True))
    op.add_column("users", sa.Column("tf_totp_secret", sa.String(length=255), nullable=True))
    op.add_column("users", sa.Column("totp_counter", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "totp_counter")
    op.drop_column("users", "tf_totp_secret")
    op.drop_column("users", "tf_primary_method")
    op.drop_table("recovery_codes")
