"""Projects are found by the label that their names become in hosts.

Revision ID: 0021
Revises: 0018
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and fill it."""
    op.add_column(
        "projects", sa.Column("slug", sa.Text, nullable=False, server_default=sa.text("''"))
    )
    projects = sa.table("projects", sa.column("id"), sa.column("name"), sa.column("slug"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(projects.c.id, projects.c.name)).all():
        named = projects.update().where(projects.c.id == row.id)
        connection.execute(named.values(slug=_label(row.name)))
    op.create_index("ix_projects_slug", "projects", ["slug"])


def _label(name: str) -> str:
    # As `tagboat.core.naming.slug` was when this was written, for names of at most 63 characters.
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")
