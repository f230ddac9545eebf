"""The tables of upkeep, and of what is noted in passing: answers, images, removals, commands.

As in `tables`, column names are the field names of the values in `tagboat.core`.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

from tagboat.store.columns import IMAGE, JSON, Instant
from tagboat.store.tables import metadata

idempotency_keys_table = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
)

pulled_images_table = Table(
    "pulled_images",
    metadata,
    Column("image", IMAGE, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("pulled_at", Instant, nullable=False),
    Column("removing_until", Instant),
)

removals_table = Table(
    "removals",
    metadata,
    # No keys of others: what is to be removed goes first.
    Column("project_id", String, primary_key=True),
    Column("stage_id", String, primary_key=True),
    Column("volumes", Boolean, nullable=False),
    Column("actor", JSON),
)

heard_calls_table = Table(
    "heard_calls",
    metadata,
    Column("host", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("delivery_id", String, nullable=False),
)

poll_finds_table = Table(
    "poll_finds",
    metadata,
    Column("host", Text, primary_key=True),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("pushes", Integer, nullable=False),
)

edges_table = Table(
    "edges",
    metadata,
    Column("id", String, primary_key=True),
    Column("seen_at", Instant, nullable=False),
    Column("led", BigInteger, nullable=False),
    Column("in_flight", JSON, nullable=False),
)

one_offs_table = Table(
    "one_offs",
    metadata,
    Column("id", String, primary_key=True),
    # No key of another: its container has to be found after the stage is gone.
    Column("stage_id", String, nullable=False),
    Column("container", Text, nullable=False),
    Column("container_id", Text, nullable=False, server_default=text("''")),
    Column("kept_until", Instant, nullable=False),
)

leases_table = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Instant, nullable=False),
)
