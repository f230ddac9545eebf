"""What was live when, notes on deploys, and who was heard last.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, tables and the indexes that pages read by."""
    op.add_column("deploys", _text("note"))
    op.add_column("instances", sa.Column("live_at", sa.BigInteger))
    op.add_column("instances", sa.Column("left_at", sa.BigInteger))
    op.add_column("instances", _text("left_for"))
    # Instances of before became live soon after their start; when exactly is not on record.
    op.execute(
        sa.text(
            "UPDATE instances SET live_at = started_at"
            " WHERE state IN ('live', 'draining', 'stopped')"
        )
    )
    _index("ix_instances_lived", "instances", ["stage_id", "id"], "live_at IS NOT NULL")
    _index("ix_deploys_failed", "deploys", ["finished_at", "stage_id"], "status = 'failed'")
    _index("ix_deploys_released", "deploys", ["stage_id", "id"], "release_id <> ''")
    op.create_index(
        "ix_tags_project_id_first_seen_tag", "tags", ["project_id", "first_seen", "tag"]
    )
    op.create_index(
        "ix_delivery_pushes_project_id_delivery_id_position",
        "delivery_pushes",
        ["project_id", "delivery_id", "position"],
    )
    op.create_table(
        "heard_calls",
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("delivery_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("host", "sender", name="pk_heard_calls"),
    )
    op.create_table(
        "poll_finds",
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("pushes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_poll_finds"),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))


def _index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
