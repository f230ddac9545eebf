"""An index of deploys without success, the newest of each status.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    where = sa.text("status IN ('failed', 'superseded', 'cancelled')")
    op.create_index(
        "ix_deploys_unsuccessful",
        "deploys",
        ["status", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )
