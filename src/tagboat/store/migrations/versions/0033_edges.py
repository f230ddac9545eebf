"""The ingresses of all servers on one database, as each of them reports.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, which the servers fill."""
    op.create_table(
        "edges",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("led", sa.BigInteger, nullable=False),
        sa.Column("in_flight", sa.Text, nullable=False),
    )
