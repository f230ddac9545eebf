"""The tables of accounts, sessions and API tokens."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from tagboat.core.principal import Role
from tagboat.store.columns import JSON_TUPLE, Coded, Instant
from tagboat.store.tables import metadata

accounts_table = Table(
    "accounts",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    # The name as it is compared: two that differ in case only are one.
    Column("name_key", Text, nullable=False, unique=True),
    Column("role", Coded(str, Role), nullable=False),
    Column("projects", JSON_TUPLE),
    Column("password", Text),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant),
)

sessions_table = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", String, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Index(None, "account_id"),
    Index(None, "created_at"),
    Index(None, "used_at"),
)

api_tokens_table = Table(
    "api_tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("role", Coded(str, Role), nullable=False),
    Column("projects", JSON_TUPLE),
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant),
    Column("used_at", Instant),
)
