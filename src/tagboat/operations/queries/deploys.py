"""Deploys, instances, and the log of a stage that matters now."""

from collections.abc import Collection
from dataclasses import dataclass

from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import EngineNotFoundError, FieldError, NotFoundError
from tagboat.core.masking import mask_values
from tagboat.core.ports import Reader
from tagboat.deploy.context import read_context
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.stage_history import StageHistory, read_stage_history
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, InstanceView, Views


@dataclass(frozen=True, slots=True)
class StageLog:
    """The last lines of a stage's log, oldest first.

    They are those of `instance`, or those that the failed `deploy` has kept of its container.
    """

    lines: tuple[str, ...]
    instance: InstanceView | None = None
    deploy: DeployView | None = None


@dataclass(frozen=True, slots=True)
class DeployQueries:
    """Reads of deploys and instances. Single things raise NotFoundError where they do not exist.

    Lists come newest first, from the first older than the id `before`.
    """

    services: OperationServices

    async def deploys(
        self, only: StageFilter, statuses: Collection[DeployStatus], before: str, limit: int
    ) -> list[DeployView]:
        """Return deploys. Raises FieldError for a name that several stages have."""

        def work(reader: Reader) -> list[DeployView]:
            found = resolve(reader, only)
            if found is None:
                return []
            return self._views(reader).deploys(
                reader.deploys(
                    project_id=found.project,
                    stage_id=found.stage,
                    statuses=statuses,
                    before=before,
                    limit=limit,
                )
            )

        return await self.services.store.read(work)

    async def deploy(self, deploy_id: str) -> DeployView:
        """Return one deploy."""
        (found,) = await self.services.store.read(
            lambda reader: self._views(reader).deploys([reader.deploy(deploy_id)])
        )
        return found

    async def instances(
        self, only: StageFilter, states: Collection[InstanceState], before: str, limit: int
    ) -> list[InstanceView]:
        """Return instances. Raises FieldError for a name that several stages have."""

        def work(reader: Reader) -> list[InstanceView]:
            found = resolve(reader, only)
            if found is None:
                return []
            return self._views(reader).instances(
                reader.instances(
                    project_id=found.project,
                    stage_id=found.stage,
                    states=states,
                    before=before,
                    limit=limit,
                )
            )

        return await self.services.store.read(work)

    async def instance_log(self, instance_id: str, tail: int) -> tuple[str, ...]:
        """Return the last `tail` lines that an instance's container wrote, secrets masked."""
        instance = await self.services.store.read(lambda reader: reader.instance(instance_id))
        try:
            return await self._lines(instance, tail)
        except EngineNotFoundError:
            raise NotFoundError(
                f"the container {instance.container} is gone, and its log with it"
            ) from None

    async def stage_log(self, stage_id: str, tail: int) -> StageLog:
        """Return the last `tail` lines of the log that matters.

        It is that of the live instance, else of one that starts or drains, else what the last
        failed deploy kept. Raises NotFoundError where there is none of them.
        """

        def work(reader: Reader) -> tuple[list[InstanceView], list[DeployView], str]:
            stage = reader.stage(stage_id)
            views = self._views(reader)
            active = reader.instances(stage_id=stage_id, states=ACTIVE_STATES)
            failed = reader.deploys(stage_id=stage_id, statuses=[DeployStatus.FAILED], limit=1)
            where = f"{reader.project(stage.project_id).name} {stage.name}"
            order = (InstanceState.LIVE, InstanceState.STARTING, InstanceState.DRAINING)
            instances = views.instances(sorted(active, key=lambda one: order.index(one.state)))
            return instances, views.deploys(failed), where

        instances, failed, where = await self.services.store.read(work)
        for view in instances:
            try:
                return StageLog(await self._lines(view.instance, tail), instance=view)
            except EngineNotFoundError:
                # On record before its container is made: the next one is the better answer.
                continue
        if not failed:
            raise NotFoundError(
                f"nothing runs in {where}, and no failed deploy has left a log;"
                f" deploy with 'tagboat deploy {where} TAG'"
            )
        return StageLog(tuple(failed[0].deploy.log.splitlines()[-tail:]), deploy=failed[0])

    async def _lines(self, instance: Instance, tail: int) -> tuple[str, ...]:
        # An app may print its own secrets: they are masked by the values that it was started with.
        secrets = await self.services.store.read(
            lambda reader: read_context(reader, instance.deploy_id).secret_values
        )
        lines = await self.services.engine.logs(instance.handle, tail)
        return tuple(mask_values("\n".join(lines), secrets).split("\n")) if lines else ()

    async def stage_history(self, stage_id: str, before: str, limit: int) -> StageHistory:
        """Return what was live in a stage, newest first, from the first older than an instance.

        `before` is the id of that instance, empty for the start.
        """
        return await self.services.store.read(
            lambda reader: read_stage_history(reader, self.services, stage_id, before, limit)
        )

    def _views(self, reader: Reader) -> Views:
        return Views(reader, self.services)


def resolve(reader: Reader, only: StageFilter) -> StageFilter | None:
    """Return the filter with ids for names, None where nothing can be found by it.

    Raises FieldError for the name of a stage that several projects have.
    """
    project_id = only.project
    if only.project is not None:
        named = reader.project_by_name(only.project)
        if named is not None:
            project_id = named.id
        elif only.project not in reader.projects_by_id([only.project]):
            return None
    if only.stage is None:
        return StageFilter(project_id, None)
    # An id has the form of a name; it is looked for first, since nobody chooses ids.
    if only.stage in reader.stages_by_id([only.stage]):
        return StageFilter(project_id, only.stage)
    if project_id is not None:
        found = [one for one in reader.stages(project_id) if one.name == only.stage]
    else:
        # Two are enough to know that the name alone does not say which.
        found = reader.stages_page(stage=only.stage, limit=2)
    if len(found) > 1:
        raise FieldError(
            "stage", f"several projects have a stage named {only.stage}: add project=NAME"
        )
    return StageFilter(project_id, found[0].id) if found else None
