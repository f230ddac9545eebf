"""What the engine says of live instances, and what people have set of a project by hand.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SET_BY_HAND = """\
UPDATE projects SET
  port_set = (inspected AND port <> 0),
  healthcheck_set = (CASE WHEN inspected THEN healthcheck <> 'image' ELSE healthcheck <> '' END)
"""
"""Fields that follow the image from now on.

It is not on record who set a field. Values that work stay, because a person may have set them. A
port of 0 works for nothing, and `image` is the value of an image with a HEALTHCHECK.
"""


def upgrade() -> None:
    """Add columns that older servers need not know of, and a table."""
    _add_filled("projects", sa.Column("port_set", sa.Boolean, nullable=False), "false")
    _add_filled("projects", sa.Column("healthcheck_set", sa.Boolean, nullable=False), "false")
    _add_filled("stages", sa.Column("healthcheck_host", sa.Text, nullable=False), "''")
    _add_filled(
        "stages", sa.Column("healthcheck_request_timeout_s", sa.Integer, nullable=False), "5"
    )
    op.execute(_SET_BY_HAND)
    op.create_table(
        "vitals",
        sa.Column("instance_id", sa.String, nullable=False),
        sa.Column("running", sa.Boolean, nullable=False),
        sa.Column("restarting", sa.Boolean, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("restarts", sa.Integer, nullable=False),
        sa.Column("health", sa.Text),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("crashed_at", sa.BigInteger),
        sa.Column("trouble", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name="fk_vitals_instance_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("instance_id", name="pk_vitals"),
    )


def _add_filled(table: str, column: "sa.Column[object]", value: str) -> None:
    # The default stays: servers of the version before add rows without a value.
    column.server_default = sa.DefaultClause(sa.text(value))
    op.add_column(table, column)
