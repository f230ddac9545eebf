"""Instances with several endpoints, or with one that is not on the loopback address.

Revision ID: 0034
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the endpoints; instances of before are reached at the port that they have on record."""
    op.add_column("instances", sa.Column("endpoints", sa.Text))
