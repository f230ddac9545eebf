"""The tables of people at an OpenID provider, and of the sessions that come from there."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, Text

from tagboat.store.columns import Instant
from tagboat.store.tables import metadata

identities_table = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("account_id", String, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "account_id"),
)

session_origins_table = Table(
    "session_origins",
    metadata,
    Column("session_id", String, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sid", Text),
    Column("id_token", LargeBinary, nullable=False),
    Index(None, "subject"),
    Index(None, "sid"),
)
