"""Stages that a person has stopped, deploys of one digest whatever its tag says, one-off commands.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that are empty or false for what was there before, and the table of commands."""
    op.add_column("stages", sa.Column("stopped_at", sa.BigInteger))
    op.add_column("stages", sa.Column("stopped_by", sa.Text))
    op.add_column(
        "deploys",
        sa.Column("exact", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_table(
        "one_offs",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("container_id", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("kept_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_one_offs"),
    )
