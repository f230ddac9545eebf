"""The queries by which workers find deploys to claim: each looks at a few by their index, however many wait or have ended."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Update, exists, select, update
from sqlalchemy.sql.elements import ColumnElement

from tagboat.core.deploy import Trigger
from tagboat.store.tables import QUEUED, RUNNING, deploys, stages

_earlier = deploys.alias("earlier")


def abandoned(holder: str, now: datetime, mine: Collection[str]) -> Select[Any]:
    """Running deploys, the oldest of each stage, that nobody works on at `now`, seen by `holder` who is at work on `mine`.

    Nobody does where nobody claims it, the claim has run out, or it is in the holder's name from a life before.
    """
    free = deploys.c.claimed_by.is_(None) | (deploys.c.claimed_by == holder)
    lapsed = deploys.c.claimed_until.is_(None) | (deploys.c.claimed_until <= now)
    first = ~_other_of_stage(RUNNING, _earlier.c.id < deploys.c.id)
    # In no order: asked for one, SQLite walks through every deploy there ever was instead of the few at work.
    return select(deploys).where(RUNNING(deploys), free | lapsed, deploys.c.id.not_in(mine), first)


def next_queued(limit: int) -> Select[Any]:
    """Queued deploys, oldest first, each the oldest of its stage that may begin, where none of the stage is running.

    What pushes and polls have queued may not while the stage is held.
    """
    idle = ~_other_of_stage(RUNNING)
    free = ~exists(
        select(stages.c.id)
        .where(stages.c.id == deploys.c.stage_id, stages.c.held)
        .correlate(deploys)
    )
    first = ~_other_of_stage(QUEUED, _earlier.c.id < deploys.c.id, free | _by_hand(_earlier))
    may = free | _by_hand(deploys)
    found = (
        select(deploys.c.id)
        .where(QUEUED(deploys), idle, first, may)
        .order_by(deploys.c.id)
        .limit(limit)
    )
    # By their ids first, for which the index is enough: those that must wait are passed over unread.
    return select(deploys).where(deploys.c.id.in_(found)).order_by(deploys.c.id)


def disturbed(mine: Collection[str], holder: str) -> Select[Any]:
    """Of the deploys `mine`, those that are to be cancelled or that another than `holder` claims."""
    return select(deploys).where(
        deploys.c.id.in_(mine), deploys.c.cancelling | (deploys.c.claimed_by != holder)
    )


def renewed(mine: Collection[str], holder: str, until: datetime) -> Update:
    """Lets the claims that `holder` still has on `mine` last until then."""
    return (
        update(deploys)
        .where(deploys.c.id.in_(mine), deploys.c.claimed_by == holder)
        .values(claimed_until=until)
    )


def _by_hand(table: Any) -> ColumnElement[bool]:  # noqa: ANN401 - deploys, or an alias of it
    condition: ColumnElement[bool] = table.c.trigger.not_in([Trigger.WEBHOOK, Trigger.POLL])
    return condition


def _other_of_stage(status: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:  # noqa: ANN401 - QUEUED or RUNNING
    of_stage = select(_earlier.c.id).where(
        status(_earlier), _earlier.c.stage_id == deploys.c.stage_id, *conditions
    )
    return exists(of_stage.correlate(deploys))
