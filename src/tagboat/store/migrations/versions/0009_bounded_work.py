"""Indexes and tables that keep the work of the writer bounded.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add indexes by which the few active instances, and those ended last, are found among any number of ended ones."""
    op.create_index("ix_instances_state_id", "instances", ["state", "id"])
    op.create_index("ix_instances_stage_id_state_id", "instances", ["stage_id", "state", "id"])
    op.create_index("ix_instances_stage_id_state_stopped_at", "instances", ["stage_id", "state", "stopped_at"])
    op.drop_index("ix_instances_state", "instances")
