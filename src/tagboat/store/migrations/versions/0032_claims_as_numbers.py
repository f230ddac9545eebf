"""Claims of deploys as numbers: a server acts for a deploy only with the last claim on it.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number of the last claim: 0 for a deploy that was never claimed since."""
    op.add_column(
        "deploys", sa.Column("claim", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
