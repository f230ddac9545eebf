"""How the ingress speaks to an app.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the protocol to projects and instances; `http` for rows of the version before."""
    for table in ("projects", "instances"):
        op.add_column(
            table, sa.Column("protocol", sa.Text, nullable=False, server_default=sa.text("'http'"))
        )
    op.add_column(
        "projects",
        sa.Column("protocol_set", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
