"""Reads for many stages at once: one statement each, however many there are."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, exists, func, not_, or_, select, tuple_

from tagboat.core.catalog import HeldPush, Stage
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, TakenBack
from tagboat.core.page_port import StagePlace
from tagboat.store import tables
from tagboat.store.catalog import CatalogReads
from tagboat.store.deploys import DeployReads
from tagboat.store.page_queries import NEWEST_DEPLOY

_stages, _deploys, _instances = tables.stages_table, tables.deploys_table, tables.instances_table


class ReadModelReads(CatalogReads, DeployReads):
    """Implements `ReadModelReader`."""

    def stages_page(
        self,
        *,
        project: str | None = None,
        stage: str | None = None,
        after: StagePlace | None = None,
        limit: int | None = None,
    ) -> list[Stage]:
        """Return stages in order of project name, position and name, from the first beyond `after`.

        `project` and `stage` are an id or a name each.
        """
        projects = tables.projects_table.c
        order = (projects.name, _stages.c.position, _stages.c.name)
        query = select(_stages).join(tables.projects_table, projects.id == _stages.c.project_id)
        if project is not None:
            query = query.where(or_(projects.id == project, projects.name == project))
        if stage is not None:
            query = query.where(or_(_stages.c.id == stage, _stages.c.name == stage))
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*after))
        return self._stages_of(query.order_by(*order).limit(limit))

    def stages_by_id(self, stage_ids: Collection[str]) -> dict[str, Stage]:
        """Return those of the stages that exist, by their ids."""
        found = self._stages_of(select(_stages).where(self._session.among(_stages.c.id, stage_ids)))
        return {stage.id: stage for stage in found}

    def open_deploys_in(self, stage_ids: Collection[str]) -> list[Deploy]:
        """Return the queued and running deploys of the stages, oldest first."""
        return self._open_deploys(self._session.among(_deploys.c.stage_id, stage_ids))

    def newest_deploys(
        self, stage_ids: Collection[str], status: DeployStatus | None = None
    ) -> dict[str, Deploy]:
        """Return the newest deploy of each of the stages that ever had one, by stage id.

        With `status`, of those stages only whose newest deploy has it.
        """
        ids = select(NEWEST_DEPLOY).where(self._session.among(_stages.c.id, stage_ids))
        query = select(_deploys).where(_deploys.c.id.in_(ids))
        if status is not None:
            query = query.where(_deploys.c.status == status)
        return {one.stage_id: one for one in self._deploys_of(query)}

    def last_successes(self) -> dict[str, datetime]:
        """Return when the newest successful deploy of each stage ended, by stage id."""
        # Stage by stage, by the partial index: history is not walked through.
        newest = (
            select(func.max(_deploys.c.id))
            .where(_deploys.c.stage_id == _stages.c.id, tables.HAS_SUCCEEDED)
            .correlate(_stages)
            .scalar_subquery()
        )
        columns = select(_deploys.c.stage_id, _deploys.c.finished_at)
        rows = self._session.rows(
            columns.where(_deploys.c.id.in_(select(newest).select_from(_stages)))
        )
        return {row["stage_id"]: row["finished_at"] for row in rows if row["finished_at"]}

    def instances_in(
        self, stage_ids: Collection[str], states: Collection[InstanceState]
    ) -> list[Instance]:
        """Return the instances of the stages in one of `states`, newest first."""
        query = select(_instances).where(
            self._session.among(_instances.c.stage_id, stage_ids), _instances.c.state.in_(states)
        )
        found = self._session.made(_instances, query, self._rows.made_instance)
        return sorted(found, key=lambda one: one.id, reverse=True)

    def held_pushes_in(self, stage_ids: Collection[str]) -> list[HeldPush]:
        """Return the pushes that wait in the stages, oldest first."""
        table = tables.offers_table
        query = select(table).where(self._session.among(table.c.stage_id, stage_ids))
        return self._session.all(HeldPush, query.order_by(table.c.seen_at, table.c.tag))

    def taken_back_in(self, stage_ids: Collection[str]) -> list[TakenBack]:
        """Return the versions that were taken back in the stages, the latest first."""
        table = tables.taken_back_table
        query = select(table).where(self._session.among(table.c.stage_id, stage_ids))
        return self._session.all(TakenBack, query.order_by(table.c.at.desc(), table.c.digest))

    def previous_instances(
        self, stage_ids: Collection[str], *, passing_taken_back: bool
    ) -> dict[str, Instance]:
        """Return for each stage what `previous_instance` would, by stage id.

        Instances of the version that is live are passed over, and with `passing_taken_back` also
        those of versions that were taken back there.
        """
        found: dict[str, Instance] = {}
        live, newer, back = (
            _instances.alias("live"),
            _instances.alias("newer"),
            tables.taken_back_table,
        )
        # Each subquery refers to the one around it only: what lies further out is not correlated.
        newest_live = (
            select(func.max(newer.c.id))
            .where(newer.c.stage_id == live.c.stage_id, newer.c.state == InstanceState.LIVE)
            .correlate(live)
            .scalar_subquery()
        )
        same = and_(
            live.c.digest == _instances.c.digest, live.c.fingerprint == _instances.c.fingerprint
        )
        is_live = and_(
            live.c.stage_id == _instances.c.stage_id,
            live.c.state == InstanceState.LIVE,  # for the index: there are few of that state
            live.c.id == newest_live,
        )
        others = [not_(exists().where(is_live, same))]
        if passing_taken_back:
            version = and_(
                back.c.digest == _instances.c.digest, back.c.fingerprint == _instances.c.fingerprint
            )
            of_stage = back.c.stage_id == _instances.c.stage_id
            others.append(not_(exists().where(of_stage, version)))
        for state in (InstanceState.STOPPED, InstanceState.DRAINING):
            newest = (
                select(_instances.c.id)
                .where(_instances.c.stage_id == _stages.c.id, _instances.c.state == state, *others)
                .order_by(_instances.c.id.desc())
                .limit(1)
                .correlate(_stages)
                .scalar_subquery()
            )
            ids = select(newest).where(self._session.among(_stages.c.id, stage_ids))
            of_state = self._session.all(
                Instance, select(_instances).where(_instances.c.id.in_(ids))
            )
            found |= {one.stage_id: one for one in of_state}
        return found

    def configured_deploys(self, deploy_ids: Collection[str]) -> set[str]:
        """Return those of the deploys whose configuration is on record."""
        column = tables.deploy_configs_table.c.deploy_id
        return set(
            self._session.scalars(select(column).where(self._session.among(column, deploy_ids)))
        )
