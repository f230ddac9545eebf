"""Databases of before, in which two stages could claim one host."""

from sqlalchemy import text

from tagboat.store import SqlStore


def allow_shared_hosts(store: SqlStore) -> None:
    """Let stages that are written from now on claim a host that another has."""
    with store._engine.begin() as connection:
        connection.execute(text("DROP INDEX uq_hosts_host"))
