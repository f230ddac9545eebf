"""The secret of the webhook's URL is sealed, which the server does itself as it starts: only it has the key.

The schema stays as it is; but a server that knows of no sealed one would make a new secret in its place, and must not start.

Revision ID: 0013
Revises: 0012
"""

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing: see `tagboat.store.store.open_store`."""
