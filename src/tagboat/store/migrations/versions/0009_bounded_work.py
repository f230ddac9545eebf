"""Indexes and tables that keep the work of the writer bounded.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add indexes by which the few that are wanted are found among any number of others."""
    op.create_index("ix_instances_state_id", "instances", ["state", "id"])
    op.create_index("ix_instances_stage_id_state_id", "instances", ["stage_id", "state", "id"])
    op.create_index(
        "ix_instances_stage_id_state_stopped_at", "instances", ["stage_id", "state", "stopped_at"]
    )
    op.drop_index("ix_instances_state", "instances")
    mortal = sa.text("ttl_h IS NOT NULL")
    op.create_index(
        "ix_stages_mortal", "stages", ["id"], sqlite_where=mortal, postgresql_where=mortal
    )
    _make_hosts()
    _add_partial("ix_deploys_waiting", ["id", "stage_id", "status", "trigger"], "status = 'queued'")
    _add_partial("ix_deploys_queued", ["stage_id", "id", "status", "trigger"], "status = 'queued'")
    _add_partial("ix_deploys_running", ["stage_id", "id", "status"], "status = 'running'")


def _make_hosts() -> None:
    """The table is filled at the start, as it is with what servers of before write beside."""
    op.create_table(
        "hosts",
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("is_domain", sa.Boolean, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["stage_id"], ["stages.id"], name="fk_hosts_stage_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("stage_id", "is_domain", "host", name="pk_hosts"),
    )
    op.create_index("ix_hosts_host", "hosts", ["host"])


def _add_partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "deploys", columns, sqlite_where=where, postgresql_where=where)
