"""The durable record of one deploy's progress: every change is read, made and written in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.deploy import ACTIVE_STATES, Deploy, DeployStatus, Instance, InstanceState, Step, StepName, StepStatus
from tagboat.core.errors import NotFoundError
from tagboat.core.image import Digest
from tagboat.core.ports import Reader, Store, Topic, Tx

T = TypeVar("T")
_UNDONE_BY_DEATH = (StepName.START, StepName.CHECK, StepName.SWITCH)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a deploy concerns, as it stands at one moment. `own` is its instance, once there is one."""

    deploy: Deploy
    project: Project
    stage: Stage
    registry: Registry | None
    own: Instance | None
    others: tuple[Instance, ...]

    @property
    def image(self) -> str:
        """`NAME@DIGEST`, as the engine knows the image."""
        return f"{self.project.image}@{self.deploy.digest}"


class TakenOverError(Exception):
    """Another server has claimed the deploy meanwhile, or it was withdrawn: nothing of it is this one's business any more."""


class Journal:
    """Writes down what happens to the deploy `deploy_id`.

    Raises NotFoundError once it was deleted, and TakenOverError once it is claimed otherwise than when it was resumed.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], deploy_id: str) -> None:
        self._store = store
        self._clock = clock
        self._id = deploy_id
        self._claimed_by: str | None = None

    async def scene(self) -> Scene:
        """Read how things stand."""

        def work(reader: Reader) -> Scene:
            self._claimed(reader)
            return self._scene(reader)

        return await self._store.read(work)

    async def resume(self) -> Scene:
        """Read how things stand, with the steps that a death leaves unsure set back unless traffic was switched."""

        def work(tx: Tx) -> Scene:
            deploy = tx.deploy(self._id)
            unsure = [name for name in _UNDONE_BY_DEATH if deploy.step(name).status is not StepStatus.PENDING]
            if unsure and deploy.step(StepName.SWITCH).status is not StepStatus.DONE:
                for name in unsure:
                    deploy = deploy.with_step(Step(name))
                tx.put_deploy(deploy)
            return self._scene(tx)

        scene = await self._store.write(work)
        self._claimed_by = scene.deploy.claimed_by
        return scene

    async def advance(
        self,
        finished: Step | None,
        begun: StepName | None,
        change: Callable[[Tx, Deploy], Deploy] = lambda _, deploy: deploy,
    ) -> Deploy:
        """Note that one step is finished and the next begun, together with whatever else `change` writes."""

        def work(tx: Tx) -> Deploy:
            deploy = change(tx, self._claimed(tx))
            if finished is not None:
                started = deploy.step(finished.name).started_at
                deploy = deploy.with_step(replace(finished, started_at=started, finished_at=self._clock()))
            if begun is not None:
                deploy = deploy.with_step(Step(begun, StepStatus.RUNNING, started_at=self._clock()))
            tx.put_deploy(deploy)
            return deploy

        return await self._store.write(work)

    async def note(self, name: StepName, detail: str) -> None:
        """Say how a running step is getting on."""

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            tx.put_deploy(deploy.with_step(replace(deploy.step(name), detail=detail)))

        await self._store.write(work)

    async def settle_digest(self, seen: Deploy, digest: Digest) -> bool:
        """Write down what `seen.tag` resolved to, unless a push was merged in meanwhile and it must be resolved again."""

        def work(tx: Tx) -> bool:
            deploy = self._claimed(tx)
            if deploy.merges != seen.merges:
                return False
            tx.put_deploy(replace(deploy, digest=digest).with_step(_resolved(deploy, digest, self._clock())))
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

    async def put_instance(self, instance: Instance, *, new: bool) -> None:
        """Write down the instance, before its container is made."""

        def work(tx: Tx) -> None:
            self._claimed(tx)
            (tx.add_instance if new else tx.put_instance)(instance)

        await self._store.write(work)

    async def ports_taken(self) -> frozenset[int]:
        """The loopback ports of every instance that has, or may have, a container."""
        active = await self._store.read(lambda reader: reader.instances(states=ACTIVE_STATES))
        return frozenset(instance.host_port for instance in active)

    async def fill_project(self, fill: Callable[[Project], Project]) -> None:
        """Complete the project with what its image said."""

        def work(tx: Tx) -> None:
            project = tx.project(self._claimed(tx).project_id)
            if not project.inspected:
                tx.put_project(fill(project))

        await self._store.write(work)

    async def end(self, status: DeployStatus, reason: str, *, failed: Step | None = None, log: str = "") -> None:
        """Write down how it ended; of a deploy that did not succeed, its instance failed."""

        def work(tx: Tx) -> None:
            deploy = self._claimed(tx)
            now = self._clock()
            if failed is not None:
                deploy = deploy.with_step(replace(failed, started_at=deploy.step(failed.name).started_at, finished_at=now))
            elif status is DeployStatus.SUCCEEDED:
                deploy = replace(deploy, steps=tuple(_skipped(step) for step in deploy.steps))
            tx.put_deploy(
                replace(deploy, status=status, reason=reason, log=log, claimed_by=None, claimed_until=None, finished_at=now)
            )
            if status is not DeployStatus.SUCCEEDED:
                _fail_instance(tx, deploy, now)
            tx.announce(Topic.DEPLOYS)

        await self._store.write(work)

    def _claimed(self, reader: Reader) -> Deploy:
        """The deploy, if it is still claimed as it was; a server that slept past its claim must write nothing."""
        deploy = reader.deploy(self._id)
        if deploy.claimed_by != self._claimed_by:
            raise TakenOverError
        return deploy

    def _scene(self, reader: Reader) -> Scene:
        deploy = reader.deploy(self._id)
        project = reader.project(deploy.project_id)
        active = reader.instances(stage_id=deploy.stage_id, states=ACTIVE_STATES)
        return Scene(
            deploy=deploy,
            project=project,
            stage=reader.stage(deploy.stage_id),
            registry=reader.registry_of(project),
            own=next((instance for instance in active if instance.deploy_id == self._id), None),
            others=tuple(instance for instance in active if instance.deploy_id != self._id),
        )


def switch_instances(tx: Tx, deploy: Deploy, max_instances: int) -> Deploy:
    """Make the deploy's instance live, and those it replaces draining: its tag's, and the oldest beyond `max_instances`."""
    live = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.LIVE])
    starting = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.STARTING])
    own = next((instance for instance in starting if instance.deploy_id == deploy.id), None)
    if own is None:
        raise NotFoundError("the new instance is no longer on record")
    tx.put_instance(replace(own, state=InstanceState.LIVE))
    others = [instance for instance in live if instance.tag != deploy.tag]
    replaced = [instance for instance in live if instance.tag == deploy.tag]
    for instance in (*replaced, *others[max_instances - 1 :]):  # newest first, so that the oldest go
        tx.put_instance(replace(instance, state=InstanceState.DRAINING))
    return deploy


def _fail_instance(tx: Tx, deploy: Deploy, now: datetime) -> None:
    for instance in tx.instances(stage_id=deploy.stage_id, states=[InstanceState.STARTING]):
        if instance.deploy_id == deploy.id:
            tx.put_instance(replace(instance, state=InstanceState.FAILED, stopped_at=now))


def _resolved(deploy: Deploy, digest: Digest, now: datetime) -> Step:
    started = deploy.step(StepName.RESOLVE).started_at
    return Step(StepName.RESOLVE, StepStatus.DONE, started, now, f"{deploy.tag} is {digest}")


def _skipped(step: Step) -> Step:
    return replace(step, status=StepStatus.SKIPPED) if step.status is StepStatus.PENDING else step
