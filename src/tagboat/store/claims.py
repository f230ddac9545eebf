"""Queries by which workers find deploys to claim.

Each looks at a few by their index, however many wait or have ended.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    FromClause,
    Integer,
    Select,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from tagboat.core.deploy import DeployStatus, Trigger
from tagboat.store.statements import among
from tagboat.store.tables import deploys_table as deploys
from tagboat.store.tables import stages_table as stages


def _in_status(status: DeployStatus) -> Callable[[FromClause], ColumnElement[bool]]:
    return lambda table: table.c.status == literal_column(f"'{status}'")


QUEUED, RUNNING = _in_status(DeployStatus.QUEUED), _in_status(DeployStatus.RUNNING)
"""Functions that return the condition for that status, of the table `deploys` or its alias."""

_earlier = deploys.alias("earlier")


@cache
def abandoned(dialect: str) -> Select[Any]:
    """Return the query for running deploys, the oldest of each stage, that no server works on.

    No server does where none claims it, where the claim has run out at `now`, or where `holder`,
    which works on the list `mine`, claimed it before it was restarted.
    """
    holder, until = deploys.c.claimed_by, deploys.c.claimed_until
    free = holder.is_(None) | (holder == bindparam("holder"))
    lapsed = until.is_(None) | (until <= bindparam("now"))
    first = ~_other_of_stage(RUNNING, _earlier.c.id < deploys.c.id)
    not_mine = ~among(deploys.c.id, dialect, "mine")
    # In no order: asked for one, SQLite walks through every deploy there ever was.
    return select(deploys).where(RUNNING(deploys), free | lapsed, not_mine, first)


@cache
def next_queued() -> Select[Any]:
    """Return the query for `most` queued deploys, oldest first, one for each idle stage.

    It is the oldest of its stage that a person has ordered, else the oldest that may begin: while a
    stage is held or stopped, deploys that pushes and polls have queued may not. Pushes that wait
    behind a rollback follow it when the stage is released meanwhile, however old they are.
    """
    idle = ~_other_of_stage(RUNNING)
    free = ~exists(
        select(stages.c.id)
        .where(stages.c.id == deploys.c.stage_id, stages.c.held | stages.c.stopped_at.is_not(None))
        .correlate(deploys)
    )
    older, by_hand = _earlier.c.id < deploys.c.id, _by_hand(deploys)
    first = ~_other_of_stage(QUEUED, older, _by_hand(_earlier) | (~by_hand & free))
    # Apart from the first, which goes by the index: it is asked of the oldest of a stage only.
    ordered = by_hand | ~_other_of_stage(QUEUED, _by_hand(_earlier))
    may = free | by_hand
    found = (
        select(deploys.c.id)
        .where(QUEUED(deploys), idle, first, may, ordered)
        .order_by(deploys.c.id)
        .limit(bindparam("most", type_=Integer))
    )
    # By their ids first, for which the index is enough: the rows of those that must wait stay
    # unread.
    return select(deploys).where(deploys.c.id.in_(found)).order_by(deploys.c.id)


@cache
def disturbed(dialect: str) -> Select[Any]:
    """Return the query for those of `mine` to be cancelled, or claimed again since.

    `mine` are the numbers of our claims by the ids of their deploys.
    """
    known, held = _mine(dialect)
    return select(deploys).where(known, deploys.c.cancelling | ~held)


@cache
def renewed(dialect: str) -> ReturningUpdate[tuple[str]]:
    """Return the statement that lets our claims last to `until`, and returns the ids of those.

    A claim counts as long as no other came after it, however late it is renewed.
    """
    known, held = _mine(dialect)
    lasting = update(deploys).where(known, held).values(claimed_until=bindparam("until"))
    return lasting.returning(deploys.c.id)


def _mine(dialect: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a deploy is one of `mine`, and that its claim is still ours."""
    each = func.json_each if dialect == "sqlite" else func.json_each_text
    pairs = each(bindparam("mine", type_=JSON)).table_valued("key", "value", name="given")
    claims = select(pairs.c.key, cast(pairs.c.value, Integer))
    return (
        deploys.c.id.in_(select(pairs.c.key)),
        tuple_(deploys.c.id, deploys.c.claim).in_(claims),
    )


def _by_hand(table: Any) -> ColumnElement[bool]:  # noqa: ANN401 - deploys, or an alias of it
    condition: ColumnElement[bool] = table.c.trigger.not_in([Trigger.WEBHOOK, Trigger.POLL])
    return condition


def _other_of_stage(
    status: Callable[[FromClause], ColumnElement[bool]], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    of_stage = select(_earlier.c.id).where(
        status(_earlier), _earlier.c.stage_id == deploys.c.stage_id, *conditions
    )
    return exists(of_stage.correlate(deploys))
