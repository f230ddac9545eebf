"""Which engine runs a stage.

Revision ID: 0036
Revises: 0035
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; what was there before is on the engine of the server."""
    op.add_column("stages", sa.Column("engine", sa.Text))
