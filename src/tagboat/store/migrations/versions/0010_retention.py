"""What is kept, and for how long.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables of pulled images and running deletions, and indexes for finding old rows."""
    op.create_table(
        "pulled_images",
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("pulled_at", sa.BigInteger, nullable=False),
        sa.Column("removing_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("image", "digest", name="pk_pulled_images"),
    )
    op.create_table(
        "removals",
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("volumes", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "stage_id", name="pk_removals"),
    )
    op.create_index("ix_instances_digest", "instances", ["digest"])
    op.create_index("ix_deploys_finished_at", "deploys", ["finished_at"])
