"""What deploys and their instances remember of what they did, and what was taken back.

Revision ID: 0005
Revises: 0004
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns whose defaults are right for what there is, and a table that begins empty."""
    op.add_column("deploys", sa.Column("image", sa.Text))
    for name, default in (("container", "''"), ("release_id", "''"), ("replaced", "'[]'")):
        op.add_column(
            "deploys", sa.Column(name, sa.Text, nullable=False, server_default=sa.text(default))
        )
    op.add_column(
        "deploys",
        sa.Column("made_way", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.add_column("instances", sa.Column("image", sa.Text))
    op.add_column(
        "instances",
        sa.Column("container_id", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.add_column(
        "instances",
        sa.Column("watched", sa.Boolean, nullable=False, server_default=sa.text("true")),
    )
    op.create_table(
        "taken_back",
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stage_id", "digest", "fingerprint", name="pk_taken_back"),
        sa.ForeignKeyConstraint(
            ["stage_id"], ["stages.id"], name="fk_taken_back_stage_id", ondelete="CASCADE"
        ),
    )
    _fill_at_work(op.get_bind())


def _fill_at_work(connection: sa.Connection) -> None:
    """Record for each deploy in progress what it has replaced.

    Until now that was read from the draining instances of its stage.
    """
    at_work = sa.text(
        "SELECT d.id, d.stage_id, s.strategy, i.state, i.container "
        "FROM deploys d JOIN stages s ON s.id = d.stage_id "
        "LEFT JOIN instances i ON i.deploy_id = d.id WHERE d.status = 'running'"
    )
    draining = sa.text(
        "SELECT id FROM instances WHERE stage_id = :stage AND state = 'draining' ORDER BY id DESC"
    )
    fill = sa.text(
        "UPDATE deploys SET container = :container, replaced = :replaced, made_way = :made_way "
        "WHERE id = :id"
    )
    for deploy_id, stage_id, strategy, state, container in connection.execute(at_work).all():
        replaced = [row.id for row in connection.execute(draining, {"stage": stage_id})]
        made_way = strategy == "recreate" and bool(replaced)
        connection.execute(
            fill,
            {
                "id": deploy_id,
                "container": (container or "") if state in {"starting", "live"} else "",
                "replaced": json.dumps(replaced),
                "made_way": made_way,
            },
        )
