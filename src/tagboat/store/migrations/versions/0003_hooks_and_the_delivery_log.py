"""Webhook URLs of projects, and what is kept of every call.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which older rows fill with nothing, and a table."""
    for column in (
        sa.Column("headers", sa.Text, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("body", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("truncated", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("took_ms", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("hook_id", sa.String),
    ):
        op.add_column("deliveries", column)
    op.create_table(
        "hooks",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_hooks_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_hooks"),
        sa.UniqueConstraint("secret_hash", name="uq_hooks_secret_hash"),
        sa.UniqueConstraint("project_id", "name", name="uq_hooks_project_id_name"),
    )
