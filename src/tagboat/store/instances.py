"""Instances, and what the engine reports of them."""

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import Select, exists, not_, select

from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState, Version
from tagboat.core.endpoint import Endpoint
from tagboat.core.events import instance_change
from tagboat.core.health import Trouble, Vitals
from tagboat.core.store_port import Topic
from tagboat.store import tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import endpoints_of, to_row
from tagboat.store.session import Values, WriteSession
from tagboat.store.stage_queries import previous_instance
from tagboat.store.statements import newest_first, where_among

_instances = tables.instances_table


class InstanceReads(ReadPart):
    """Implements what `DeployReader` has of instances."""

    def instance(self, instance_id: str) -> Instance:
        """Return the instance of that id."""
        return self._session.one(Instance, tables.instances_table, instance_id, "instance")

    def instances(
        self,
        *,
        project_id: str | None = None,
        stage_id: str | None = None,
        states: Collection[InstanceState] = (),
        before: str = "",
        limit: int | None = None,
    ) -> list[Instance]:
        """Return instances, newest first, from the first older than the id `before`."""
        equal = {"project_id": project_id, "stage_id": stage_id}
        if not states:
            return self._instances_of(*newest_first(_instances, equal, before, limit))
        # One query for each state: asked for several at once in an order, databases walk through
        # all there ever were.
        found = [
            one
            for state in states
            for one in self._instances_of(
                *newest_first(_instances, equal | {"state": state}, before, limit)
            )
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]

    def recent_instances(
        self, stage_id: str, states: Collection[InstanceState], limit: int
    ) -> list[Instance]:
        """Return the `limit` instances in one of the final `states` that ended last."""
        table = tables.instances_table
        of_stage = select(table).where(
            table.c.stage_id == stage_id, table.c.stopped_at.is_not(None)
        )
        latest = of_stage.order_by(table.c.stopped_at.desc()).limit(limit)
        found = [
            one
            for state in states
            for one in self._session.all(Instance, latest.where(table.c.state == state))
        ]
        return sorted(
            found, key=lambda one: (one.stopped_at or one.started_at, one.id), reverse=True
        )[:limit]

    def side_by_side(self) -> list[Instance]:
        """Return the live instances of all stages that may have several, newest first.

        Each of them has its own host.
        """
        several = select(tables.stages_table.c.id).where(tables.stages_table.c.max_instances > 1)
        live = select(tables.instances_table).where(
            tables.instances_table.c.state == InstanceState.LIVE
        )
        found = self._session.all(
            Instance, live.where(tables.instances_table.c.stage_id.in_(several))
        )
        return sorted(found, key=lambda one: one.id, reverse=True)

    def instance_of(self, deploy_id: str) -> Instance | None:
        """Return the instance that a deploy has made, in any state; None where it made none."""
        found = self._instances_of(*newest_first(_instances, {"deploy_id": deploy_id}, "", 1))
        return found[0] if found else None

    def active_endpoints(self) -> frozenset[Endpoint]:
        """Return the endpoints of all instances that have, or may have, a container."""
        table = tables.instances_table
        columns = select(table.c.host_port, table.c.endpoints)
        return frozenset(
            endpoint
            for state in ACTIVE_STATES
            for row in self._session.rows(columns.where(table.c.state == state))
            for endpoint in endpoints_of(row["host_port"], row["endpoints"])
        )

    def unwatched_instances(self) -> list[Instance]:
        """Return the live instances that were not watched yet for as long as their stages ask.

        A deploy that is still at work watches its instance itself: those are left out.
        """
        table, deploys = tables.instances_table, tables.deploys_table
        at_work = exists().where(deploys.c.id == table.c.deploy_id, tables.OPEN)
        query = select(table).where(table.c.state == InstanceState.LIVE, not_(table.c.watched))
        return self._session.all(Instance, query.where(~at_work))

    def previous_instance(
        self, stage_id: str, without: Collection[Version] = ()
    ) -> Instance | None:
        """Return the newest draining instance of the stage, else the newest stopped one, else None.

        Instances of the versions `without` are passed over, and while what a rollback has brought
        back is live, those that were newer than that.
        """
        query, values = previous_instance(len(without)), {"stage_id": stage_id}
        for number, (digest, mark) in enumerate(without):
            values |= {f"digest_{number}": digest, f"mark_{number}": mark}
        for state in (InstanceState.DRAINING, InstanceState.STOPPED):
            if found := self._instances_of(query, values | {"of_state": state}):
                return found[0]
        return None

    def vitals(self, instance_ids: Collection[str], *, troubled: bool = False) -> dict[str, Vitals]:
        """Return by instance id what the engine reported last, of those that it was asked about.

        With `troubled`, of those only that need a person.
        """
        query = _vitals_of(self._session.dialect, troubled=troubled)
        found = self._session.all(Vitals, query, {"keys": list(instance_ids)})
        return {vitals.instance_id: vitals for vitals in found}

    def _instances_of(self, query: Select[Any], values: Values) -> list[Instance]:
        return self._session.made(_instances, query, self._rows.made_instance, values)


@cache
def _vitals_of(dialect: str, *, troubled: bool) -> Select[Any]:
    query = where_among(tables.vitals_table.c.instance_id, dialect)
    return query.where(tables.vitals_table.c.trouble != Trouble.NONE) if troubled else query


class InstanceWrites(InstanceReads):
    """Implements what `DeployWriter` has of instances."""

    _session: WriteSession

    def add_instance(self, instance: Instance) -> None:
        """Add an instance."""
        self._session.insert(tables.instances_table, to_row(instance))
        self._changed(instance)

    def put_instance(self, instance: Instance, was: Collection[InstanceState] = ()) -> bool:
        """Replace an instance; with `was`, only one that is in one of these states.

        Returns False where it is in another by now, or is gone.
        """
        table = tables.instances_table
        statement = table.update().where(table.c.id == instance.id).values(to_row(instance))
        if was:
            statement = statement.where(table.c.state.in_(was))
        if not self._session.execute(statement).rowcount:
            return False
        self._changed(instance)
        return True

    def put_vitals(self, vitals: Vitals) -> None:
        """Remember what the engine reports of an instance."""
        self._session.upsert(tables.vitals_table, to_row(vitals))
        self._session.record(instance_change(self.instance(vitals.instance_id), vitals))

    def _changed(self, instance: Instance) -> None:
        # This server routes its own traffic by itself; announced here, it would do so twice.
        self._session.announced_elsewhere.add(Topic.ROUTES)
        self._session.record(instance_change(instance))
