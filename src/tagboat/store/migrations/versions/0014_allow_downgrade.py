"""Stages that may go back to older tags.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the switch; stages of before are as new ones: polls do not go back."""
    op.add_column(
        "stages",
        sa.Column("allow_downgrade", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
