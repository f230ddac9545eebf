"""Encryption of the webhook's secret. The server does it at the start, because only it has the key.

The schema stays as it is. The revision keeps older servers from starting: they would not find the
encrypted secret, and create a new one.

Revision ID: 0013
Revises: 0012
"""

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing: see `tagboat.store.store.open_store`."""
