"""The steps of a deploy and their undo.

Whatever happens before `switch`, the old instance is not touched; a death of the process at any point leaves a record
from which `carry_out`, called again, goes on.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog

from tagboat.core.catalog import Project
from tagboat.core.deploy import (
    ContainerSpec,
    ContainerStatus,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
)
from tagboat.core.errors import (
    DeployFailedError,
    EngineError,
    NameTakenError,
    NotFoundError,
    PortTakenError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.ids import new_id, short_id
from tagboat.core.image import ImageInfo
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.naming import container_name
from tagboat.core.ports import Engine, Probe, Store, TagSource
from tagboat.core.tally import Tally
from tagboat.deploy.gate import Judgement, Verdict, judge
from tagboat.deploy.journal import Journal, Scene, TakenOverError, switch_instances
from tagboat.deploy.patience import delays

T = TypeVar("T")
LOG_LINES = 100
_PORT_TRIES = 20
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_PROGRESS_EVERY_S = 1.0

log = structlog.get_logger("tagboat.deploy")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a deploy is carried out with. `installation` marks this installation's containers among others' on the engine."""

    store: Store
    engine: Engine
    tag_source: TagSource
    probe: Probe
    free_port: Callable[[Collection[int]], int]
    clock: Callable[[], datetime]
    installation: str
    tally: Tally


class _AlreadyLiveError(Exception):
    """The very digest is live with the same configuration."""


class Pipeline:
    """Carries one deploy through its steps."""

    def __init__(self, parts: Parts, deploy_id: str) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = Journal(parts.store, parts.clock, deploy_id)
        self._finished: Step | None = None
        self._at: StepName | None = None
        self._steps: Mapping[StepName, Callable[[], Awaitable[Step]]] = {
            StepName.RESOLVE: self._resolve,
            StepName.PULL: self._pull,
            StepName.START: self._start,
            StepName.CHECK: self._check,
            StepName.SWITCH: self._switch,
            StepName.DRAIN: self._drain,
            StepName.RETIRE: self._retire,
        }

    async def carry_out(self) -> None:
        """Go on from wherever the record stands, to the end.

        Raises NotFoundError once the deploy is deleted; its container is removed first. Cancelled, and when it raises
        StoreUnavailableError or TakenOverError, it leaves everything as it is, to be gone on with later or by others.
        """
        scene = await self._journal.resume()
        try:
            await self._go_on(scene.deploy)
        except NotFoundError:
            await self._discard(scene)
            raise

    async def _go_on(self, deploy: Deploy) -> None:
        try:
            for name in StepName:
                if deploy.step(name).status not in {StepStatus.DONE, StepStatus.SKIPPED}:
                    await self._take(name)
            await self._journal.advance(self._finished, None)
            await self._end(DeployStatus.SUCCEEDED, f"{deploy.tag} is live")
        except _AlreadyLiveError:
            await self._end(DeployStatus.SUCCEEDED, "already live")
        except DeployFailedError as error:
            await self._fail(str(error))
        except (NotFoundError, StoreUnavailableError, TakenOverError):
            raise
        except Exception as error:
            log.exception("a fault inside Tagboat", action="carry_out")
            await self._fail(f"a fault inside Tagboat ({type(error).__name__}); the server's log says more")

    async def _take(self, name: StepName) -> None:
        """Take one step. That the one before it is finished is written down in the same transaction."""
        self._at = name
        await self._journal.advance(self._finished, name)
        self._finished = None
        log.info("step", action=name.value)
        self._finished = await self._patiently(name, self._steps[name])

    async def _patiently(self, name: StepName, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, again where the cause of a failure may pass by itself; raise DeployFailedError when it does not."""
        waits = None
        while True:
            try:
                return await work()
            except (NotFoundError, StoreUnavailableError):
                raise
            except TagboatError as error:
                waits = waits or delays(error, self._parts.clock())
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    raise DeployFailedError(str(error)) from error
                log.warning("step will be tried again", action=name.value, reason=str(error), wait_s=wait)
                await self._journal.note(name, f"{error}; trying again in {wait:.0f} s")
                await asyncio.sleep(wait)

    async def _resolve(self) -> Step:
        while True:
            scene = await self._journal.scene()
            deploy = scene.deploy
            digest = deploy.digest or await self._parts.tag_source.resolve(scene.project.image, deploy.tag, scene.registry)
            if await self._journal.settle_digest(deploy, digest):
                break
        scene = await self._journal.scene()
        live = None if scene.deploy.force else await self._live_already(scene)
        if live is not None:
            await self._journal.put_instance(replace(live, tag=scene.deploy.tag), new=False)
            raise _AlreadyLiveError
        return scene.deploy.step(StepName.RESOLVE)

    async def _live_already(self, scene: Scene) -> Instance | None:
        """The running instance of the very digest and configuration, if there is one."""
        for instance in scene.others:
            if (
                instance.state is InstanceState.LIVE
                and instance.digest == scene.deploy.digest
                and (scene.stage.max_instances == 1 or instance.tag == scene.deploy.tag)
                and instance.fingerprint == fingerprint(scene)
            ):
                status = await self._engine.status(instance.container)
                return instance if status is not None and status.running else None
        return None

    async def _pull(self) -> Step:
        scene = await self._journal.scene()
        detail = "the engine had it already"
        info = await self._engine.inspect_image(scene.image)
        if info is None:
            await self._pull_watched(scene)
            info = await self._engine.inspect_image(scene.image)
            detail = "pulled"
        if info is not None and not scene.project.inspected:
            await self._journal.fill_project(partial(_filled, info))
        return Step(StepName.PULL, StepStatus.DONE, detail=detail)

    async def _pull_watched(self, scene: Scene) -> None:
        """Pull, and note the progress about once a second."""
        digest = scene.deploy.digest
        if digest is None:
            raise DeployFailedError("the deploy has no digest to pull")
        latest = [""]
        pulling = asyncio.ensure_future(
            self._engine.pull(scene.project.image, digest, scene.registry, lambda text: latest.__setitem__(0, text))
        )
        try:
            noted = ""
            while not (await asyncio.wait([pulling], timeout=_PROGRESS_EVERY_S))[0]:
                if latest[0] != noted:
                    noted = latest[0]
                    await self._journal.note(StepName.PULL, noted)
            await pulling
        finally:
            pulling.cancel()

    async def _start(self) -> Step:
        scene = await self._journal.scene()
        if scene.own is not None:
            await self._make_way(scene.own.container, scene.deploy.id)
        instance, new = scene.own or _new_instance(scene, self._parts.clock()), scene.own is None
        taken = await self._journal.ports_taken() if scene.project.port else frozenset()
        for _ in range(_PORT_TRIES):
            host_port = self._parts.free_port(taken) if scene.project.port else 0
            instance = replace(instance, host_port=host_port, fingerprint=fingerprint(scene), started_at=self._parts.clock())
            await self._journal.put_instance(instance, new=new)
            new = False
            try:
                await self._run_container(_spec(scene, instance, self._parts.installation))
            except PortTakenError:
                await self._engine.remove(instance.container)
                taken |= {host_port}
            else:
                return Step(StepName.START, StepStatus.DONE, detail=f"started {instance.container}")
        raise DeployFailedError(f"found no free loopback port for the new container in {_PORT_TRIES} tries")

    async def _run_container(self, spec: ContainerSpec) -> None:
        try:
            await self._engine.create(spec)
        except NameTakenError:
            await self._make_way(spec.name, spec.labels["tagboat.deploy"])
            await self._engine.create(spec)
        await self._engine.start(spec.name)

    async def _make_way(self, container: str, deploy_id: str) -> None:
        """Remove the container that an earlier try has left; raise DeployFailedError if it is somebody else's."""
        status = await self._engine.status(container)
        if status is None:
            return
        if not _made_by(status, deploy_id):
            raise DeployFailedError(
                f"another container is named {container}; Tagboat does not touch it: rename or remove it, and deploy again"
            )
        await self._engine.remove(container)

    async def _check(self) -> Step:
        scene = await self._journal.scene()
        clock = asyncio.get_running_loop().time
        began, pause = clock(), _FIRST_PAUSE_S
        while True:
            judgement = await self._judge(scene, clock() - began)
            if judgement.verdict is Verdict.HEALTHY:
                return Step(StepName.CHECK, StepStatus.DONE, detail=judgement.reason)
            if judgement.verdict is Verdict.FAILED:
                raise DeployFailedError(judgement.reason)
            if clock() - began > scene.stage.health_timeout_s:
                raise DeployFailedError(f"not healthy within {scene.stage.health_timeout_s} s: {judgement.reason}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def _judge(self, scene: Scene, running_s: float) -> Judgement:
        port = scene.own.host_port if scene.own else 0
        status, probed = await asyncio.gather(
            self._engine.status(_container(scene)), self._probe(scene.project.healthcheck, port)
        )
        return judge(status, scene.project.healthcheck, port, probed, running_s)

    async def _probe(self, healthcheck: str, port: int) -> str | None:
        if healthcheck.startswith("/"):
            if not port:
                raise DeployFailedError("the healthcheck is a path, but the project has no port to ask it at; set the port")
            return await self._parts.probe.http(port, healthcheck)
        return await self._parts.probe.tcp(port) if port and healthcheck != "image" else None

    async def _switch(self) -> Step:
        scene = await self._journal.scene()
        done = Step(StepName.SWITCH, StepStatus.DONE, detail=f"{scene.deploy.tag} is live")
        await self._journal.advance(done, None, lambda tx, deploy: switch_instances(tx, deploy, scene.stage.max_instances))
        log.info("live", action="switch", project=scene.project.name, stage=scene.stage.name, tag=scene.deploy.tag)
        return done

    async def _drain(self) -> Step:
        return Step(StepName.DRAIN, StepStatus.SKIPPED, detail="without an ingress there is no traffic to lead away")

    async def _retire(self) -> Step:
        scene = await self._journal.scene()
        old = [instance for instance in scene.others if instance.state is InstanceState.DRAINING]
        for instance in old:
            await retire(self._parts, instance)
        names = ", ".join(instance.container for instance in old)
        return Step(StepName.RETIRE, StepStatus.DONE, detail=f"retired {names}" if old else "there was nothing to retire")

    async def _fail(self, reason: str) -> None:
        """Take back what was begun and write down why. Once traffic was switched there is nothing to take back."""
        scene = await self._journal.scene()
        failed = Step(self._at, StepStatus.FAILED, detail=reason) if self._at else None
        lines: Collection[str] = ()
        if _switched(scene.deploy):
            reason = f"{scene.deploy.tag} is live, but the old instance could not be retired: {reason}"
        elif scene.own is not None:
            lines = await self._discard(scene)
        log.warning("deploy failed", action="fail", project=scene.project.name, tag=scene.deploy.tag, reason=reason)
        await self._end(DeployStatus.FAILED, reason, failed=failed, lines=lines)

    async def _end(
        self, status: DeployStatus, reason: str, *, failed: Step | None = None, lines: Collection[str] = ()
    ) -> None:
        await self._journal.end(status, reason, failed=failed, log="\n".join(lines))
        self._parts.tally.count("tagboat_deploys_total", status=status.value)

    async def _discard(self, scene: Scene) -> Collection[str]:
        """Remove the new container, if one was made; what it last said. An engine that is away leaves it to the next sweep."""
        container = _container(scene)
        lines: Collection[str] = ()
        try:
            status = await self._engine.status(container)
            if status is not None and _made_by(status, scene.deploy.id):
                lines = await self._last_words(container)
                await self._engine.remove(container)
        except EngineError as error:
            log.warning("container left to the next sweep", action="undo", container=container, reason=str(error))
        return lines

    async def _last_words(self, container: str) -> Collection[str]:
        try:
            return await self._engine.logs(container, LOG_LINES)
        except EngineError:
            return ()


async def retire(parts: Parts, instance: Instance) -> None:
    """Stop and remove the container of a draining instance, and write that down."""
    await parts.engine.stop(instance.container)
    await parts.engine.remove(instance.container)
    stopped = replace(instance, state=InstanceState.STOPPED, stopped_at=parts.clock())
    await parts.store.write(lambda tx: tx.put_instance(stopped))


def fingerprint(scene: Scene) -> str:
    """16 hex digits that change when the configuration of the stage's containers does."""
    configuration = {"port": scene.project.port, "env": {**scene.project.env, **scene.stage.env}}
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def _container(scene: Scene) -> str:
    if scene.own is not None:
        return scene.own.container
    return container_name(scene.project.name, scene.stage.name, short_id(scene.deploy.id))


def _made_by(container: ContainerStatus, deploy_id: str) -> bool:
    return container.labels.get("tagboat.deploy") == deploy_id


def _new_instance(scene: Scene, now: datetime) -> Instance:
    deploy = scene.deploy
    if deploy.digest is None:
        raise DeployFailedError("the deploy has no digest to start")
    return Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        tag=deploy.tag,
        digest=deploy.digest,
        state=InstanceState.STARTING,
        container=_container(scene),
        host_port=0,
        fingerprint="",
        started_at=now,
    )


def _spec(scene: Scene, instance: Instance, installation: str) -> ContainerSpec:
    return ContainerSpec(
        name=instance.container,
        image=scene.image,
        labels={
            "tagboat.managed": "true",
            "tagboat.project": scene.project.name,
            "tagboat.stage": scene.stage.name,
            "tagboat.deploy": scene.deploy.id,
            "tagboat.installation": installation,
        },
        env={**scene.project.env, **scene.stage.env},
        port=scene.project.port,
        host_port=instance.host_port,
    )


def _filled(info: ImageInfo, project: Project) -> Project:
    """The project, completed with what its image says; a healthcheck that somebody gave stays."""
    return replace(project, port=port_of(info), healthcheck=project.healthcheck or healthcheck_of(info), inspected=True)


def _switched(deploy: Deploy) -> bool:
    return deploy.step(StepName.SWITCH).status is StepStatus.DONE
