"""Queries of pages that are made once: making them takes longer than running them."""

from sqlalchemy import Integer, Text, bindparam, exists, func, or_, select, type_coerce

from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.health import Trouble
from tagboat.store import tables, upkeep_tables
from tagboat.store.account_tables import accounts_table, sessions_table
from tagboat.store.statements import where

MOST_ROWS = bindparam("most", type_=Integer)
"""The parameter for how many rows there may be."""
_all_deploys, _newer = tables.deploys_table.c, tables.deploys_table.alias("newer").c
_all_stages = tables.stages_table.c

_mended = exists().where(
    # By id, which rises with time: a deploy that ended later may have been ordered before.
    _newer.stage_id == _all_deploys.stage_id,
    _newer.id > _all_deploys.id,
    # Also one that failed: a stage that fails again and again must not hide the others.
    _newer.status.in_([DeployStatus.SUCCEEDED, DeployStatus.FAILED]),
)
FAILURES = (
    # Not whole: there may be many, of which a page shows a few.
    select(_all_deploys.id, _all_deploys.project_id, _all_deploys.stage_id)
    .join(tables.stages_table, _all_stages.id == _all_deploys.stage_id)
    .where(
        tables.HAS_FAILED,
        _all_deploys.finished_at >= bindparam("since", type_=_all_deploys.finished_at.type),
        ~_mended,
        # As `Stage.stopped_since`: who has stopped it knows that nothing serves there.
        or_(_all_stages.stopped_at.is_(None), _all_stages.stopped_at <= _all_deploys.finished_at),
    )
    .order_by(_all_deploys.finished_at.desc())
    .limit(MOST_ROWS)
)
"""The last failures of stages that nothing has mended, by the parameters `since` and `most`."""

NEWEST_DEPLOY = (
    select(func.max(_all_deploys.id))
    .where(_all_deploys.stage_id == _all_stages.id)
    .correlate(tables.stages_table)
    .scalar_subquery()
)
"""The id of the newest deploy of a stage, for queries of stages."""
# Asked stage by stage: a GROUP BY walks through all deploys that there ever were.

_offers = tables.offers_table.c
_seen_type = _offers.seen_at.type
_newest_at = func.max(_offers.seen_at, type_=_seen_type)
_waiting = (
    select(
        _offers.stage_id,
        func.count().label("pushes"),
        func.min(_offers.seen_at, type_=_seen_type).label("since"),
        _newest_at.label("newest_at"),
    )
    .group_by(_offers.stage_id)
    .order_by(_newest_at.desc())
    .limit(MOST_ROWS)
    .subquery()
)
# Two may have come in one call, at the same microsecond: one of them stands for both.
_newest_tag = (
    select(func.max(_offers.tag))
    .where(_offers.stage_id == _waiting.c.stage_id, _offers.seen_at == _waiting.c.newest_at)
    .scalar_subquery()
)
WAITING_PUSHES = select(
    _waiting.c.stage_id, _waiting.c.pushes, _newest_tag.label("newest"), _waiting.c.since
).order_by(_waiting.c.newest_at.desc())
"""The pushes that wait, by stage, the latest stage first; the parameter is `most`."""

NEWEST_RELEASE = (
    where(_all_deploys.stage_id)
    .where(tables.HAS_RELEASED)
    .order_by(_all_deploys.id.desc())
    .limit(1)
)
"""The newest deploy of a stage that began a release command; the parameter is `stage_id`."""

_pulled_images = upkeep_tables.pulled_images_table.c
PULLED = select(_pulled_images.image, _pulled_images.digest).where(
    _pulled_images.digest.in_(bindparam("digests", expanding=True)),
    _pulled_images.removing_until.is_(None),
)
"""Those of the images with one of the `digests` that Tagboat has pulled and not removed."""

_vitals, _instances = tables.vitals_table.c, tables.instances_table.c
# From the few live instances: reports of ended ones stay as they were.
TROUBLED = (
    select(tables.vitals_table)
    .join(tables.instances_table, _instances.id == _vitals.instance_id)
    .where(_instances.state == InstanceState.LIVE, _vitals.trouble != Trouble.NONE)
    .order_by(_instances.id.desc())
    .limit(MOST_ROWS)
)
"""Reports of live instances that need a person, the newest instance first, `most` at most."""

_calls = tables.deliveries_table.c
_last_calls = (
    select(_calls.id, _calls.sender, _calls.hook_id, _calls.needs_you, _calls.result)
    .order_by(_calls.id.desc())
    .limit(MOST_ROWS)
    .subquery()
)
_order_of_sender = func.row_number().over(
    partition_by=(_last_calls.c.sender, _last_calls.c.hook_id), order_by=_last_calls.c.id.desc()
)
_by_sender = select(_last_calls, _order_of_sender.label("place")).subquery()
# A server of before, which writes a `result`, has the rest in there.
_may_need_you = or_(_by_sender.c.needs_you, _by_sender.c.result != "")
MAY_NEED_YOU = _calls.id.in_(select(_by_sender.c.id).where(_by_sender.c.place == 1, _may_need_you))
"""The condition that a call is the newest of its sender at its URL, among the last `most`, and may
need a person.
"""

_backoffs = tables.registry_backoffs_table.c
# As text: an image is compared by its first characters, as the database has it.
_image_path = type_coerce(tables.projects_table.c.image, Text)
_is_there = func.substr(_image_path, 1, func.length(_backoffs.host) + 1) == _backoffs.host + "/"
FAILING_REGISTRIES = (
    select(tables.registry_backoffs_table)
    .where(_backoffs.failures > 0, exists(select(tables.projects_table.c.id).where(_is_there)))
    .order_by(_backoffs.host)
)
"""The hosts that failed when last asked and have a project's image."""

SESSION_WITH_ACCOUNT = (
    select(sessions_table, *(column.label(f"of_{column.key}") for column in accounts_table.c))
    .join(accounts_table, accounts_table.c.id == sessions_table.c.account_id)
    .where(sessions_table.c.secret_hash == bindparam("secret_hash"))
)
"""A session with its account, whose columns begin with `of_`; the parameter is `secret_hash`."""
