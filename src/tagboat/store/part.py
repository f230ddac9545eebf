"""A part of the store: what all of them have."""

from typing import Any

from sqlalchemy import Select, Table, select

from tagboat.store.rows import SealedRows
from tagboat.store.session import ReadSession


class ReadPart:
    """Reads through a session, and opens what is sealed."""

    _session: ReadSession
    _rows: SealedRows


def newest_first(
    table: Table, project_id: str | None, stage_id: str | None, before: str, limit: int | None
) -> Select[Any]:
    """Return the query for a page of a table whose ids rise with time."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(table.c.project_id == project_id)
    if stage_id is not None:
        query = query.where(table.c.stage_id == stage_id)
    return query.where(table.c.id < before) if before else query
