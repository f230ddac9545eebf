"""Receipts of deploys: what became of the requests while they replaced an instance.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. Earlier deploys have no receipt: nothing was counted."""
    op.create_table(
        "receipts",
        sa.Column("deploy_id", sa.String, nullable=False),
        sa.Column("ledger", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["deploy_id"], ["deploys.id"], name="fk_receipts_deploy_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deploy_id", name="pk_receipts"),
    )
