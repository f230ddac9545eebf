"""How many tasks an instance of a stage has, and on which machines of a cluster they may run.

Revision ID: 0035
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that say one task, anywhere, for what was there before."""
    op.add_column(
        "stages",
        sa.Column("replicas", sa.Integer, nullable=False, server_default=sa.text("1")),
    )
    op.add_column(
        "stages",
        sa.Column("constraints", sa.Text, nullable=False, server_default=sa.text("'[]'")),
    )
