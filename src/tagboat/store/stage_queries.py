"""Queries of stages, each made once; of many at once, the ids are the parameter `keys`."""

from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, not_, select

from tagboat.core.deploy import InstanceState, Trigger
from tagboat.store import tables
from tagboat.store.page_queries import NEWEST_DEPLOY
from tagboat.store.statements import among, where

_stages, _deploys, _instances, _offers, _taken_back, _configs = (
    tables.stages_table.c,
    tables.deploys_table.c,
    tables.instances_table.c,
    tables.offers_table.c,
    tables.taken_back_table.c,
    tables.deploy_configs_table.c,
)

_live, _newer, _first = (
    tables.instances_table.alias("live").c,
    tables.instances_table.alias("newer").c,
    tables.instances_table.alias("first").c,
)
# Each subquery refers to the one around it only: what lies further out is not correlated.
_newest_live = (
    select(func.max(_newer.id))
    .where(_newer.stage_id == _live.stage_id, _newer.state == InstanceState.LIVE)
    .correlate(_live.id.table)
    .scalar_subquery()
)
_is_live = and_(
    _live.stage_id == _instances.stage_id,
    _live.state == InstanceState.LIVE,  # for the index: there are few of that state
    _live.id == _newest_live,
)
_own_place = (
    select(func.max(_first.id))
    .where(
        _first.stage_id == _live.stage_id,
        _first.digest == _live.digest,
        _first.fingerprint == _live.fingerprint,
        _first.id < _live.id,
        _first.live_at.is_not(None),
    )
    .correlate(_live.id.table)
    .scalar_subquery()
)
NOT_FORWARD = not_(
    exists().where(
        _is_live,
        _deploys.id == _live.deploy_id,
        _deploys.trigger == Trigger.ROLLBACK,
        _instances.id > _own_place,
    )
)
"""The condition that an instance is none that a rollback of its stage has passed over.

Of what a rollback has brought back, the place in history is that of its version before.
"""


@cache
def open_deploys_in(dialect: str) -> Select[Any]:
    """Return the query for the queued and running deploys of stages."""
    return select(tables.deploys_table).where(tables.OPEN, among(_deploys.stage_id, dialect))


@cache
def newest_deploys_in(dialect: str, *, of_status: bool) -> Select[Any]:
    """Return the query for the newest deploy of each stage; some may have a `status` only."""
    ids = select(NEWEST_DEPLOY).where(among(_stages.id, dialect))
    query = select(tables.deploys_table).where(_deploys.id.in_(ids))
    return query.where(_deploys.status == bindparam("status")) if of_status else query


@cache
def instances_of_stages(dialect: str) -> Select[Any]:
    """Return the query for the instances of stages in one of the `states`."""
    return select(tables.instances_table).where(
        among(_instances.stage_id, dialect),
        _instances.state.in_(bindparam("states", expanding=True)),
    )


@cache
def held_pushes_in(dialect: str) -> Select[Any]:
    """Return the query for the pushes that wait in stages, oldest first."""
    query = select(tables.offers_table).where(among(_offers.stage_id, dialect))
    return query.order_by(_offers.seen_at, _offers.tag)


@cache
def taken_back_in(dialect: str) -> Select[Any]:
    """Return the query for the versions that were taken back in stages, the latest first."""
    query = select(tables.taken_back_table).where(among(_taken_back.stage_id, dialect))
    return query.order_by(_taken_back.at.desc(), _taken_back.digest)


@cache
def previous_instance(others: int) -> Select[Any]:
    """Return the query for the newest instance `of_state` in the stage `stage_id`.

    It is of none of so many versions, `digest_0` and `mark_0` and so on.
    """
    versions = [
        and_(
            _instances.digest == bindparam(f"digest_{number}"),
            _instances.fingerprint == bindparam(f"mark_{number}"),
        )
        for number in range(others)
    ]
    return (
        where(_instances.stage_id)
        .where(_instances.state == bindparam("of_state"), NOT_FORWARD, *map(not_, versions))
        .order_by(_instances.id.desc())
        .limit(1)
    )


@cache
def previous_instances_in(dialect: str) -> Select[Any]:
    """Return the query for each stage's newest instance `of_state`, of a version to go back to.

    That is one which is neither live there nor was taken back there.
    """
    same = and_(_live.digest == _instances.digest, _live.fingerprint == _instances.fingerprint)
    back = and_(
        _taken_back.stage_id == _instances.stage_id,
        _taken_back.digest == _instances.digest,
        _taken_back.fingerprint == _instances.fingerprint,
    )
    newest = (
        select(_instances.id)
        .where(
            _instances.stage_id == _stages.id,
            _instances.state == bindparam("of_state"),
            not_(exists().where(_is_live, same)),
            not_(exists().where(back)),
            NOT_FORWARD,
        )
        .order_by(_instances.id.desc())
        .limit(1)
        .correlate(tables.stages_table)
        .scalar_subquery()
    )
    ids = select(newest).where(among(_stages.id, dialect))
    return select(tables.instances_table).where(_instances.id.in_(ids))


@cache
def configured_deploys(dialect: str) -> Select[Any]:
    """Return the query for those of the deploys `keys` whose configuration is on record."""
    return select(_configs.deploy_id).where(among(_configs.deploy_id, dialect))
