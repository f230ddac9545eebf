"""The durable record of one deploy: each change is read, made and written in one transaction."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tagboat.core.catalog import KnownTag, Project
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    TakenBack,
    Trigger,
    made_draining,
)
from tagboat.core.endpoint import Endpoint
from tagboat.core.ids import short_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.masking import mask_values
from tagboat.core.naming import container_name
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.core.run import RunConfig
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.context import DeployContext, read_context
from tagboat.deploy.fence import ClaimLostError, Fence
from tagboat.deploy.instances import revert_instances, taken_back
from tagboat.deploy.resolving import found
from tagboat.deploy.wellbeing import observed

_UNDONE_BY_DEATH = (StepName.START, StepName.CHECK, StepName.SWITCH)


class CancelRequestedError(Exception):
    """Somebody has asked to cancel the deploy."""


class PushMergedError(Exception):
    """A push was merged into the deploy during the look-up of its tag: look it up again."""


class DeployRecord:
    """Records what happens to the deploy `deploy_id`.

    All calls raise NotFoundError once it was deleted, and ClaimLostError once its last claim is not
    that of `fence`: without one, that at the resumption.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        deploy_id: str,
        fence: Fence | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._id = deploy_id
        self.fence = fence or Fence(store, deploy_id)
        self._secrets: frozenset[str] = frozenset()

    def masked(self, text: str) -> str:
        """Return `text` without the secrets of the app and its registry that were read so far."""
        return mask_values(text, self._secrets)

    async def context(self) -> DeployContext:
        """Read the deploy and all that it concerns."""

        def work(reader: Reader) -> DeployContext:
            self._claimed(reader)
            return self._context(reader)

        return await self._store.read(work)

    async def context_with(self, config: RunConfig) -> DeployContext:
        """Read the context, with a configuration that is not on record yet."""
        return replace(await self.context(), config=config)

    async def resume(self) -> DeployContext:
        """Read the context; set back the steps that a death leaves unsure, unless it was switched.

        A deploy that is to be cancelled keeps them: its record says in which one it was cut off.
        """

        def work(tx: Tx) -> DeployContext:
            context, deploy = self._context(tx), self._claimed(tx)
            unsure = [
                name
                for name in _UNDONE_BY_DEATH
                if deploy.step(name).status is not StepStatus.PENDING
            ]
            switched = context.own is not None and context.own.state is not InstanceState.STARTING
            if not unsure or switched or deploy.failed_step is not None or deploy.cancelling:
                return context
            for name in unsure:
                deploy = deploy.with_step(Step(name))
            tx.put_deploy(deploy)
            return replace(context, deploy=deploy)

        context = await self._store.write(work)
        # From now on, nothing is written once another server has claimed it.
        self.fence.claim = context.deploy.claim
        return context

    async def advance(
        self,
        finished: Step | None,
        begun: StepName | None,
        change: Callable[[Tx, Deploy], Deploy] = lambda _, deploy: deploy,
    ) -> Deploy:
        """Record that one step is finished and the next begun, with all that `change` writes.

        Raises CancelRequestedError before a step of a deploy that is to be cancelled.
        """

        def work(tx: Tx) -> Deploy:
            deploy = self._claimed(tx)
            if begun is not None and deploy.cancelling:
                raise CancelRequestedError
            deploy = change(tx, deploy)
            if finished is not None:
                started = deploy.step(finished.name).started_at
                done = replace(finished, started_at=started, finished_at=self._clock())
                deploy = deploy.with_step(replace(done, detail=self.masked(finished.detail)))
            if begun is not None:
                deploy = deploy.with_step(Step(begun, StepStatus.RUNNING, started_at=self._clock()))
            if begun is StepName.START and not deploy.container:
                # By the names of now: a project or stage that is renamed later keeps this one.
                project, stage = tx.project(deploy.project_id), tx.stage(deploy.stage_id)
                name = container_name(project.name, stage.name, short_id(deploy.id))
                deploy = replace(deploy, container=name)
            tx.put_deploy(deploy)
            return deploy

        return await self._store.write(work)

    async def note(
        self, name: StepName, detail: str, also: Callable[[Tx], None] = lambda _: None
    ) -> None:
        """Record the progress of a running step, and `also`; a failed step keeps its reason."""

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            also(tx)
            if deploy.step(name).status is StepStatus.RUNNING:
                tx.put_deploy(
                    deploy.with_step(replace(deploy.step(name), detail=self.masked(detail)))
                )

        await self._store.write(work)

    async def write(self, work: Callable[[Tx, Deploy], None]) -> None:
        """Write what belongs to the deploy, by its record of now."""
        await self._store.write(lambda tx: work(tx, self._claimed(tx)))

    async def settle_digest(self, seen: Deploy, digest: Digest, image: ImageName) -> bool:
        """Record the digest of `seen.tag`; return False where a push was merged in since `seen`.

        A person who deploys a digest that was taken back lifts that. A rollback does not need to:
        the order itself has done it.
        """

        def work(tx: Tx) -> bool:
            deploy = self._claimed(tx)
            if deploy.merges != seen.merges:
                # The tag may have moved with that push, after it was looked up.
                return False
            step = Step(
                StepName.RESOLVE,
                StepStatus.DONE,
                deploy.step(StepName.RESOLVE).started_at,
                self._clock(),
                found(deploy.tag, digest, deploy.digest),
            )
            tx.put_deploy(replace(deploy, digest=digest, image=image).with_step(step))
            if deploy.trigger in {Trigger.MANUAL, Trigger.PROMOTE}:
                tx.delete_taken_back(deploy.stage_id, digest)
            # Those name a digest that was live once, not the one that the tag points to.
            if not deploy.is_exact:
                tx.record_tag(
                    KnownTag(
                        project_id=deploy.project_id,
                        tag=deploy.tag,
                        digest=digest,
                        first_seen=self._clock(),
                        source=deploy.trigger,
                    )
                )
            return True

        return await self._store.write(work)

    async def put_instance(
        self, instance: Instance, *, new: bool, config: RunConfig | None = None
    ) -> None:
        """Record the instance, and its configuration if given, before its container is made."""

        def work(tx: Tx) -> None:
            self._claimed(tx)
            (tx.add_instance if new else tx.put_instance)(instance)
            if config is not None:
                tx.put_deploy_config(self._id, config)

        await self._store.write(work)

    async def change_instances(
        self, instances: Iterable[Instance], change: Callable[[Instance], Instance]
    ) -> None:
        """Change the instances, as they are on record."""

        def work(tx: Tx) -> None:
            self._claimed(tx)
            for instance in instances:
                tx.put_instance(change(tx.instance(instance.id)))

        await self._store.write(work)

    async def make_way(self, also: Callable[[Tx, Deploy], None]) -> None:
        """Record that the live instances make way for one that cannot run next to them.

        Call it before they are stopped. `also` writes what belongs to it.
        """

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            live = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.LIVE])
            for instance in live:
                tx.put_instance(made_draining(instance, self._clock(), deploy.id))
            replaced = (*deploy.replaced, *(instance.id for instance in live))
            tx.put_deploy(replace(deploy, replaced=replaced, made_way=True))
            also(tx, deploy)

        await self._store.write(work)

    async def change(self, **changes: Any) -> None:  # noqa: ANN401 - any field
        """Change these fields of the deploy."""
        await self._store.write(lambda tx: tx.put_deploy(replace(self._claimed(tx), **changes)))

    async def keep_log(self, log: str) -> None:
        """Record the last output of a container before it is removed; the same output once."""
        log = self.masked(log)

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            # After a death, the output of the same container is read once more.
            if not deploy.log.endswith(log):
                tx.put_deploy(replace(deploy, log="\n".join(filter(None, (deploy.log, log)))))

        await self._store.write(work)

    async def record_failure(
        self,
        at: StepName | None,
        reason: str,
        log: str = "",
        *,
        merges: int | None = None,
        sick: bool = False,
        instead: Callable[[Tx, Deploy], None] | None = None,
        also: Callable[[Tx, Deploy], None] | None = None,
    ) -> DeployContext:
        """Record that it failed, and why, before anything is taken back.

        The instances get their final states: those that were to be replaced serve again, unless
        they are about to be removed, when it is too late to go back. With `sick`, its instance was
        live and became unhealthy, so that its digest must not come back by itself. `instead` queues
        the deploy that takes its place, which makes this one superseded: a reason on record before
        the end says so. Without that, `also` writes whatever else is needed. Raises PushMergedError
        where it failed in a look-up of the tag from before the last push was merged in.
        """
        reason, log = self.masked(reason), self.masked(log)

        def work(tx: Tx) -> DeployContext:
            context = self._context(tx)
            deploy = self._claimed(tx)
            if (
                at is StepName.RESOLVE
                and not deploy.cancelling
                and merges not in {None, deploy.merges}
            ):
                raise PushMergedError
            too_late = deploy.step(StepName.RETIRE).status is not StepStatus.PENDING
            if at is not None:
                started = deploy.step(at).started_at
                deploy = deploy.with_step(
                    Step(at, StepStatus.FAILED, started, self._clock(), reason)
                )
            deploy = replace(
                deploy,
                log="\n".join(filter(None, (deploy.log, log))),
                reason=reason if instead else None,
            )
            tx.put_deploy(deploy)
            if not too_late:
                revert_instances(tx, context, self._clock())
            if sick and context.own is not None:
                tx.put_taken_back(taken_back(context.own, reason, self._clock()))
            if (write := instead or also) is not None:
                write(tx, deploy)
            return self._context(tx)

        return await self._store.write(work)

    async def endpoints_taken(self) -> frozenset[Endpoint]:
        """Return the endpoints of all instances that have, or may have, a container."""
        return await self._store.read(lambda reader: reader.active_endpoints())

    async def fill_project(self, fill: Callable[[Project], Project]) -> None:
        """Set the project to what its newest image says."""

        def work(tx: Tx) -> None:
            # Read again: a person may have changed the project since the image was inspected.
            project = tx.project(self._claimed(tx).project_id)
            if (filled := fill(project)) != project:
                tx.put_project(filled)

        await self._store.write(work)

    async def made_live(self) -> Instance | None:
        """Return the deploy's own failed instance if it may have got requests, else None."""

        def work(reader: Reader) -> Instance | None:
            deploy = self._claimed(reader)
            # Before the switch, no request was routed to it.
            made = (
                reader.instance_of(self._id)
                if deploy.step(StepName.SWITCH).status is not StepStatus.PENDING
                else None
            )
            return made if made is not None and made.state is InstanceState.FAILED else None

        return await self._store.read(work)

    async def context_with_fuse(self) -> tuple[DeployContext, TakenBack | None]:
        """Read the context, and the record that its digest was taken back in the stage, if any."""

        def work(reader: Reader) -> tuple[DeployContext, TakenBack | None]:
            self._claimed(reader)
            context = self._context(reader)
            found = reader.taken_back(context.stage.id)
            digest = context.deploy.digest
            return context, next((one for one in found if one.digest == digest), None)

        return await self._store.read(work)

    async def config_of(self, instance: Instance) -> RunConfig | None:
        """Return the configuration of another instance, None where it was not kept."""
        return await self._store.read(lambda reader: reader.deploy_config(instance.deploy_id))

    async def end(
        self,
        status: DeployStatus,
        reason: str,
        seen: WorkloadStatus | None = None,
        also: Callable[[Tx, Deploy], None] = lambda _tx, _: None,
    ) -> None:
        """Record how it ended, the last status of its live instance, and what `also` writes."""

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            also(tx, deploy)
            if seen is not None and (own := self._context(tx).own) is not None:
                tx.put_vitals(observed(None, own, seen, self._clock()))
            if status is DeployStatus.SUCCEEDED:
                left = [one for one in deploy.steps if one.status is StepStatus.PENDING]
                for step in left:
                    deploy = deploy.with_step(replace(step, status=StepStatus.SKIPPED))
            tx.put_deploy(
                replace(
                    deploy,
                    status=status,
                    reason=self.masked(reason),
                    claimed_by=None,
                    claimed_until=None,
                    finished_at=self._clock(),
                )
            )
            tx.announce(Topic.DEPLOYS)

        await self._store.write(work)

    def _claimed(self, reader: Reader) -> Deploy:
        """Return the deploy; raise ClaimLostError where it was claimed again, or withdrawn."""
        deploy, claim = reader.deploy(self._id), self.fence.claim
        if claim is not None and (claim != deploy.claim or deploy.status.final):
            raise ClaimLostError
        return deploy

    def _context(self, reader: Reader) -> DeployContext:
        context = read_context(reader, self._id)
        # Those read earlier too: the app's output may repeat a secret that was changed since.
        self._secrets |= context.secret_values
        return context
