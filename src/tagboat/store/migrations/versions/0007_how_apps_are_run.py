"""How a stage's new instance takes over, where nobody has said it, and where the app's data is.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns with defaults, for older rows and for servers of the version before.

    The `rolling` of older stages becomes "not set": until now the two were the same.
    """
    columns = (
        sa.Column("strategy_given", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("image_volumes", sa.Text, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("adopted_volumes", sa.Text, nullable=False, server_default=sa.text("'{}'")),
    )
    for column in columns:
        op.add_column("stages", column)
