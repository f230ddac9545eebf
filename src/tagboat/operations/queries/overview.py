"""The overview: every stage with what is live, under way and waiting, and what needs a person."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from msgspec import Struct

from tagboat.core.catalog import HeldPush, Stage
from tagboat.core.deploy import ACTIVE_STATES, Deploy, Instance, InstanceState, TakenBack, Version
from tagboat.core.errors import ConflictError
from tagboat.core.page_port import StagePlace
from tagboat.core.ports import Reader
from tagboat.core.values import replace
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.deliveries import DeliveryRow, senders_needing_you
from tagboat.operations.queries.needs import Need, NeedQueries
from tagboat.operations.registry_lookup import registry_among
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, InstanceView, StageView, Views
from tagboat.operations.way_back import (
    Prospect,
    RollbackTarget,
    WaysBack,
    find_target,
    not_kept,
)

K = TypeVar("K", Deploy, Instance, HeldPush, TakenBack)


class StageOverview(Struct, frozen=True):
    """A stage as it is now.

    `live` comes newest first, `under_way` (queued and running) oldest first, `waiting` are the
    pushes that wait for a person, oldest first. `needs_you` has a sentence for each trouble.
    """

    stage: StageView
    live: tuple[InstanceView, ...]
    under_way: tuple[DeployView, ...]
    last_deploy: DeployView | None
    waiting: tuple[HeldPush, ...]
    way_back: Prospect
    needs_you: tuple[str, ...]


class Overview(Struct, frozen=True):
    """A page of stages; `senders` are the newest calls of senders that need a person.

    `needs` are all things that need a person. Both are empty but on the first page.
    """

    stages: tuple[StageOverview, ...]
    senders: tuple[DeliveryRow, ...]
    needs: tuple[Need, ...] = ()


class OverviewQuery(Struct, frozen=True):
    """Reads the overview, in a number of statements that does not depend on how much there is."""

    services: OperationServices

    async def read(
        self, only: StageFilter, after: StagePlace | None = None, limit: int | None = None
    ) -> Overview:
        """Return the stages in order of project name, position and name.

        The senders come with the first page only. Engine and registries are asked whether the
        images to go back to still exist.
        """

        def work(
            reader: Reader,
        ) -> tuple[list[StageOverview], list[RollbackTarget], list[DeliveryRow]]:
            stages = reader.stages_page(
                project=only.project, stage=only.stage, after=after, limit=limit
            )
            rows, targets = self._rows(reader, stages)
            # Of no stage: on each page they would seem to be others.
            return rows, targets, [] if after is not None else senders_needing_you(reader)

        rows, targets, senders = await self.services.store.read(work)
        # Outside of the transaction: engine and registries may take seconds.
        ways = WaysBack(self.services.store, self.services.engine, self.services.resolve)
        found = {
            target.instance.stage_id: prospect
            for target, prospect in zip(targets, await ways.prospects(targets), strict=True)
        }
        asked = [replace(row, way_back=found.get(row.stage.stage.id, row.way_back)) for row in rows]
        if after is not None:
            return Overview(tuple(asked), tuple(senders))
        needs = await NeedQueries(self.services).read(only)
        return Overview(tuple(asked), tuple(senders), needs.first)

    def _rows(
        self, reader: Reader, stages: Sequence[Stage]
    ) -> tuple[list[StageOverview], list[RollbackTarget]]:
        """Return the stages, ways back still unknown, and the instances to go back to."""
        views = Views(reader, self.services)
        staged = views.warned_stages(stages)
        facts = BulkFacts(reader, [stage.id for stage in stages])
        live = _by_stage(views.instances(facts.all_live), lambda view: view.instance)
        under_way = _by_stage(views.deploys(facts.all_open), lambda view: view.deploy)
        newest = {
            view.stage.id: view
            for view in views.deploys(list(reader.newest_deploys(facts.stage_ids).values()))
        }
        polls = reader.poll_states({view.project.id for view in staged})
        # The same rule as that of a rollback, on facts that were read for all stages at once.
        ways: list[Instance | str] = []
        for stage in stages:
            try:
                ways.append(find_target(facts, stage))
            except ConflictError as error:
                ways.append(str(error))
        kept = reader.configured_deploys(
            [way.deploy_id for way in ways if isinstance(way, Instance)]
        )
        # Read once: the registries of all images to go back to are among them.
        registries, targets, rows = reader.registries(), [], []
        for view, way in zip(staged, ways, strict=True):
            stage = view.stage
            way_back = Prospect(None, possible=False, reason=way if isinstance(way, str) else "")
            if isinstance(way, Instance):
                if way.deploy_id in kept:
                    registry = registry_among(registries, view.project, way.image)
                    targets.append(RollbackTarget(way, view.project, registry))
                else:
                    way_back = replace(way_back, reason=not_kept(way))
            troubled = [one for one in live[stage.id] if one.trouble is not None]
            needs = [f"{one.instance.tag}: {one.trouble.detail}" for one in troubled if one.trouble]
            if failure := polls[view.project.id].error:
                needs.append(f"polls of {view.project.name} fail: {failure}")
            rows.append(
                StageOverview(
                    stage=view,
                    live=tuple(live[stage.id]),
                    under_way=tuple(under_way[stage.id]),
                    last_deploy=newest.get(stage.id),
                    waiting=tuple(facts.held[stage.id]),
                    way_back=way_back,
                    needs_you=tuple(needs),
                )
            )
        return rows, targets


class BulkFacts:
    """The facts that targets of rollbacks follow from, of many stages, read at once."""

    def __init__(self, reader: Reader, stage_ids: Sequence[str]) -> None:
        self.stage_ids = stage_ids
        active = reader.instances_in(stage_ids, ACTIVE_STATES)
        self.all_live = [one for one in active if one.state is InstanceState.LIVE]
        self.all_open = reader.open_deploys_in(stage_ids)
        self.held = _by_stage(reader.held_pushes_in(stage_ids), _itself)
        self._active = _by_stage(active, _itself)
        self._open = _by_stage(self.all_open, _itself)
        self._taken_back = _by_stage(reader.taken_back_in(stage_ids), _itself)
        self._previous = reader.previous_instances(stage_ids)

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """Return the queued and running deploys of a stage, oldest first."""
        return self._open[stage_id]

    def instances(self, *, stage_id: str, states: Collection[InstanceState]) -> list[Instance]:
        """Return the instances of a stage in one of the active `states`, newest first."""
        return [one for one in self._active[stage_id] if one.state in states]

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """Return the versions that were taken back in a stage."""
        return self._taken_back[stage_id]

    def previous_instance(
        self, stage_id: str, without: Collection[Version] = ()
    ) -> Instance | None:
        """Return the newest instance that served before, of none of the versions `without`."""
        found = self._previous.get(stage_id)
        return found if found and found.version not in without else None


V = TypeVar("V")


def _itself(value: K) -> K:
    return value


def _by_stage(values: Sequence[V], owned: Callable[[V], K]) -> dict[str, list[V]]:
    found: dict[str, list[V]] = defaultdict(list)
    for value in values:
        found[owned(value).stage_id].append(value)
    return found
