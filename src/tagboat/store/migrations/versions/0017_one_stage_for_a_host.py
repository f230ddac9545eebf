"""A host is of one stage.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make hosts unique, but for those that several stages have claimed since before the rule."""
    op.add_column(
        "hosts", sa.Column("shared", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.execute(
        sa.text(
            "UPDATE hosts SET shared = true WHERE EXISTS (SELECT 1 FROM hosts AS older"
            " WHERE older.host = hosts.host AND older.is_domain = hosts.is_domain"
            " AND older.stage_id < hosts.stage_id)"
        )
    )
    condition = sa.text("NOT shared")
    op.create_index(
        "uq_hosts_host",
        "hosts",
        ["host", "is_domain"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
