"""Reads for many stages at once: one statement each, however many there are."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_

from tagboat.core.catalog import HeldPush, Stage
from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    TakenBack,
)
from tagboat.core.page_port import StagePlace
from tagboat.core.run import RunConfig
from tagboat.store import tables
from tagboat.store.catalog import CatalogReads
from tagboat.store.deploys import DeployReads
from tagboat.store.rows import is_sealed_config
from tagboat.store.stage_queries import (
    configured_deploys,
    held_pushes_in,
    instances_of_stages,
    newest_deploys_in,
    open_deploys_in,
    previous_instances_in,
    taken_back_in,
)
from tagboat.store.statements import where_among

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
        query = where_among(_stages.c.id, self._session.dialect)
        found = self._stages_of(query, {"keys": list(stage_ids)})
        return {stage.id: stage for stage in found}

    def open_deploys_in(self, stage_ids: Collection[str]) -> list[Deploy]:
        """Return the queued and running deploys of the stages, oldest first."""
        query = open_deploys_in(self._session.dialect)
        return self._oldest_first(query, {"keys": list(stage_ids)})

    def newest_deploys(
        self, stage_ids: Collection[str], status: DeployStatus | None = None
    ) -> dict[str, Deploy]:
        """Return the newest deploy of each of the stages that ever had one, by stage id.

        With `status`, of those stages only whose newest deploy has it.
        """
        query = newest_deploys_in(self._session.dialect, of_status=status is not None)
        found = self._deploys_of(query, {"keys": list(stage_ids), "status": status})
        return {one.stage_id: one for one in found}

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
        query = instances_of_stages(self._session.dialect)
        values = {"keys": list(stage_ids), "states": list(states)}
        found = self._session.made(_instances, query, self._rows.made_instance, values)
        return sorted(found, key=lambda one: one.id, reverse=True)

    def held_pushes_in(self, stage_ids: Collection[str]) -> list[HeldPush]:
        """Return the pushes that wait in the stages, oldest first."""
        query = held_pushes_in(self._session.dialect)
        return self._session.all(HeldPush, query, {"keys": list(stage_ids)})

    def taken_back_in(self, stage_ids: Collection[str]) -> list[TakenBack]:
        """Return the versions that were taken back in the stages, the latest first."""
        query = taken_back_in(self._session.dialect)
        return self._session.all(TakenBack, query, {"keys": list(stage_ids)})

    def previous_instances(self, stage_ids: Collection[str]) -> dict[str, Instance]:
        """Return for each stage what `previous_instance` would, by stage id.

        Instances of versions that are live or were taken back there are passed over.
        """
        query = previous_instances_in(self._session.dialect)
        found: dict[str, Instance] = {}
        for state in (InstanceState.STOPPED, InstanceState.DRAINING):
            values = {"keys": list(stage_ids), "of_state": state}
            of_state = self._session.made(_instances, query, self._rows.made_instance, values)
            found |= {one.stage_id: one for one in of_state}
        return found

    def configured_deploys(self, deploy_ids: Collection[str]) -> set[str]:
        """Return those of the deploys whose configuration is on record."""
        query = configured_deploys(self._session.dialect)
        return set(self._session.scalars(query, {"keys": list(deploy_ids)}))

    def stages_with_options(self) -> list[Stage]:
        """Return the stages that have run options, or whose projects have some, in no order."""
        projects = tables.projects_table.c
        optioned = select(projects.id).where(projects.run.is_not(None))
        return self._stages_of(
            select(_stages).where(_stages.c.run.is_not(None) | _stages.c.project_id.in_(optioned))
        )

    def running_configs(self) -> list[tuple[str, RunConfig]]:
        """Return the configurations with options of active instances, with their stages' ids."""
        configs = tables.deploy_configs_table.c
        columns = select(_instances.c.stage_id, configs.deploy_id, configs.config)
        query = columns.join(_instances, _instances.c.deploy_id == configs.deploy_id).where(
            _instances.c.state.in_(ACTIVE_STATES)
        )
        return [
            (row["stage_id"], self._rows.config(row["config"], row["deploy_id"]))
            for row in self._session.rows(query)
            # Those that can be read as they are have no options.
            if is_sealed_config(row["config"])
        ]
