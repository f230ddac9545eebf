"""Columns for real apps, the watch, cancelling, pushes during a hold, and registries' authorities.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which older rows fill with what they did so far, and two tables."""
    op.add_column("projects", sa.Column("run", sa.LargeBinary))
    op.add_column("stages", sa.Column("run", sa.LargeBinary))
    op.add_column("stages", sa.Column("ttl_h", sa.Integer))
    _add_filled("stages", sa.Column("strategy", sa.Text, nullable=False), "'rolling'")
    _add_filled("stages", sa.Column("watch_s", sa.Integer, nullable=False), "10")
    _add_filled("registries", sa.Column("ca_cert", sa.Text, nullable=False), "''")
    _add_filled("deploys", sa.Column("cancelling", sa.Boolean, nullable=False), "false")
    _add_filled("deploys", sa.Column("released", sa.Boolean, nullable=False), "false")
    _make_tables()


def _add_filled(table: str, column: "sa.Column[object]", value: str) -> None:
    # The default stays on the column: to take it away, SQLite would have to make the table anew,
    # and dropping the old one deletes whatever hangs on it.
    column.server_default = sa.DefaultClause(sa.text(value))
    op.add_column(table, column)


def _make_tables() -> None:
    op.create_table(
        "deploy_configs",
        sa.Column("deploy_id", sa.String, nullable=False),
        sa.Column("config", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ["deploy_id"], ["deploys.id"], name="fk_deploy_configs_deploy_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deploy_id", name="pk_deploy_configs"),
    )
    op.create_table(
        "offers",
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["stage_id"], ["stages.id"], name="fk_offers_stage_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("stage_id", "tag", name="pk_offers"),
    )
