"""Statements that are made once: making one takes longer than running it.

Parameters that are compared with a column bear its name.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    Table,
    any_,
    bindparam,
    func,
    select,
)


@cache
def where(*columns: Column[Any]) -> Select[Any]:
    """Return the query for rows by the values of some columns of their table."""
    conditions = [column == bindparam(column.name) for column in columns]
    return select(columns[0].table).where(*conditions)


@cache
def where_among(column: Column[Any], dialect: str) -> Select[Any]:
    """Return the query for the rows whose column is one of the texts `keys`, in no order."""
    return select(column.table).where(among(column, dialect))


def among(column: Column[Any], dialect: str, keys: str = "keys") -> ColumnElement[bool]:
    """Return the condition that a column of texts has one of a parameter, the list `keys`."""
    # One parameter in place of one for each: hundreds cost more than the query itself, and each
    # number of them is another statement for the database to prepare and to keep.
    if dialect == "sqlite":
        listed = func.json_each(bindparam(keys, type_=JSON)).table_valued("value", name="given")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(keys, type_=ARRAY(String)))


def newest_first(
    table: Table, equal: Mapping[str, Any], before: str, limit: int | None
) -> tuple[Select[Any], dict[str, Any]]:
    """Return the query for a page of a table whose ids rise with time, and its values.

    `equal` are the values that columns must have; None is any.
    """
    values = {name: one for name, one in equal.items() if one is not None}
    query = _newest_first(table, tuple(values), from_id=bool(before), limited=limit is not None)
    return query, values | {"before": before, "most": limit}


@cache
def _newest_first(
    table: Table, equal: Sequence[str], *, from_id: bool, limited: bool
) -> Select[Any]:
    query = select(table).where(*(table.c[name] == bindparam(name) for name in equal))
    if from_id:
        query = query.where(table.c.id < bindparam("before"))
    query = query.order_by(table.c.id.desc())
    return query.limit(bindparam("most", type_=Integer)) if limited else query
