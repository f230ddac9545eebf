"""Commands that print the passwords of registries, and an index of the successes of stages.

Revision ID: 0031
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the command of a registry, which none has so far, and the index."""
    op.add_column(
        "registries",
        sa.Column("password_command", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    where = sa.text("status = 'succeeded'")
    op.create_index(
        "ix_deploys_succeeded",
        "deploys",
        ["stage_id", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )
