"""Where the passwords of registries go.

Revision ID: 0012
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the login service of a registry, which none is known to have had so far."""
    op.add_column(
        "registries",
        sa.Column("login_service", sa.Text, nullable=False, server_default=sa.text("''")),
    )
