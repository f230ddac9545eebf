"""What was done about each tag when it was last news, and why.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, which older rows, and servers not yet brought up to date, leave empty."""
    op.add_column("tags", sa.Column("verdict", sa.Text))
