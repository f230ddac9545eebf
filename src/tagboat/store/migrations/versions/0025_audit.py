"""Who changed what, who ordered a deploy, and since when and by whom a stage is held.

Revision ID: 0025
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of the audit, and columns that are empty for what was there before."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Text),
        sa.Column("subject_name", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text),
        sa.Column("project_name", sa.Text),
        sa.Column("stage_id", sa.Text),
        sa.Column("stage_name", sa.Text),
        sa.Column("changes", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    for column in ("project_id", "action", "actor_kind"):
        op.create_index(f"ix_audit_{column}_at_id", "audit", [column, "at", "id"])
    op.create_index("ix_audit_at_id", "audit", ["at", "id"])
    named = sa.text("actor_kind <> 'webhook'")
    columns = ["actor_name", "at", "id"]
    op.create_index("ix_audit_named", "audit", columns, sqlite_where=named, postgresql_where=named)
    op.add_column("deploys", sa.Column("ordered_by", sa.Text))
    op.add_column("stages", sa.Column("held_at", sa.BigInteger))
    op.add_column("stages", sa.Column("held_by", sa.Text))
    op.add_column("removals", sa.Column("actor", sa.Text))
