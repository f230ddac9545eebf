"""The table of the audit. Its entries outlive what they name: it has no keys of others."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from tagboat.store.columns import CHANGES, Instant
from tagboat.store.tables import metadata

BY_NAME = text("actor_kind <> 'webhook'")
"""Condition for the entries that are found by the name of who made them."""

# In the order in which they are shown; the values of enumerations as plain text, since one of
# another release must not stop the reader.
audit_table = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_id", Text),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject_id", Text),
    Column("subject_name", Text, nullable=False),
    Column("project_id", Text),
    Column("project_name", Text),
    Column("stage_id", Text),
    Column("stage_name", Text),
    Column("changes", CHANGES, nullable=False),
    Column("note", Text, nullable=False),
    Index(None, "at", "id"),
    Index(None, "project_id", "at", "id"),
    Index(None, "action", "at", "id"),
    Index(None, "actor_kind", "at", "id"),
    # Senders make most entries, and nobody looks for one of those by name.
    Index("ix_audit_named", "actor_name", "at", "id", sqlite_where=BY_NAME),
)
