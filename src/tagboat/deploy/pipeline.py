"""The steps of a deploy and their undo.

Whatever happens before `switch`, the old instance is not touched (but by `strategy: recreate`, whose app cannot run twice); a
death of the process at any point leaves a record from which `carry_out`, called again, goes on. That holds for the undo too:
why a deploy failed, and who serves from then on, is written down before anything is taken back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from tagboat.core.catalog import Project, Strategy
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Step, StepName, StepStatus, Trigger
from tagboat.core.errors import (
    DeployFailedError,
    EngineUnavailableError,
    IngressError,
    InvalidValueError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.image import ImageInfo
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.run import RunConfig
from tagboat.deploy.containers import Containers, Parts, ReleaseFailedError
from tagboat.deploy.health import Health
from tagboat.deploy.journal import CalledOffError, Journal, Scene, TakenOverError, switch_instances
from tagboat.deploy.patience import delays
from tagboat.deploy.speech import asked_in_http, with_protocol

T = TypeVar("T")
CANCELLED = "cancelled"
_PROGRESS_EVERY_S = 1.0

log = structlog.get_logger("tagboat.deploy")


class _AlreadyLiveError(Exception):
    """The very digest is live with the same configuration."""


class Pipeline:
    """Carries one deploy through its steps."""

    def __init__(self, parts: Parts, deploy_id: str) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = Journal(parts.store, parts.clock, deploy_id)
        self._containers = Containers(parts, self._journal)
        self._finished: Step | None = None
        self._at: StepName | None = None
        self._engine_left = False
        self._warning = ""
        self._steps: Mapping[StepName, Callable[[], Awaitable[Step]]] = {
            StepName.RESOLVE: self._resolve,
            StepName.PULL: self._pull,
            StepName.START: self._start,
            StepName.CHECK: self._check,
            StepName.SWITCH: self._switch,
            StepName.WATCH: self._watch,
            StepName.DRAIN: self._drain,
            StepName.RETIRE: self._retire,
        }

    async def carry_out(self) -> None:
        """Go on from wherever the record stands, to the end.

        Raises NotFoundError once the deploy is deleted; its container is removed first. Cancelled, and when it raises
        StoreUnavailableError or TakenOverError, it leaves everything as it is, to be gone on with later or by others.
        """
        scene = await self._journal.resume()
        if scene.deploy.status.final:
            return
        try:
            if failed := scene.deploy.failed_step:
                await self._take_back(failed.detail)
            else:
                await self._go_on(scene.deploy)
        except NotFoundError:
            await self._containers.discard(scene, _forget)
            raise

    async def _go_on(self, deploy: Deploy) -> None:
        try:
            for name in StepName:
                if deploy.step(name).status not in {StepStatus.DONE, StepStatus.SKIPPED}:
                    await self._take(name)
            await self._journal.advance(self._finished, None)
            await self._end(DeployStatus.SUCCEEDED, "; ".join(filter(None, (f"{deploy.tag} is live", self._warning))))
        except _AlreadyLiveError:
            await self._end(DeployStatus.SUCCEEDED, "already live")
        except CalledOffError:
            await self._fail(CANCELLED)
        except ReleaseFailedError as error:
            await self._fail(str(error), "\n".join(error.lines))
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
            except (NotFoundError, StoreUnavailableError, DeployFailedError):
                raise
            except TagboatError as error:
                waits = waits or delays(error, self._parts.clock())
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    raise DeployFailedError(str(error)) from error
                self._engine_left = self._engine_left or isinstance(error, EngineUnavailableError)
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
        for instance in scene.others_that(InstanceState.LIVE):
            if (
                instance.digest == scene.deploy.digest
                and (scene.stage.max_instances == 1 or instance.tag == scene.deploy.tag)
                and instance.fingerprint == scene.config.fingerprint
                and await self._checked_alike(instance, scene.config)
            ):
                status = await self._engine.status(instance.container)
                return instance if status is not None and status.running else None
        return None

    async def _checked_alike(self, instance: Instance, config: RunConfig) -> bool:
        """Whether it was let live by the healthcheck of now: a new one has yet to be passed, though its container is alike."""
        kept = await self._journal.config_of(instance)
        return kept is None or kept.healthcheck == config.healthcheck

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
        # What was rolled back to has been released in its day, and may know nothing of what came after it.
        if scene.config.options.release_command and not scene.deploy.released and scene.deploy.trigger is not Trigger.ROLLBACK:
            await self._journal.note_release("\n".join(await self._containers.release(scene)))
        if scene.stage.strategy is Strategy.RECREATE:
            await self._stop_old(scene)
        return Step(StepName.START, StepStatus.DONE, detail=f"started {await self._containers.start(scene)}")

    async def _stop_old(self, scene: Scene) -> None:
        """Make way for an app that cannot run twice; who asks for it waits meanwhile."""
        await self._journal.put_states(scene.others_that(InstanceState.LIVE), InstanceState.DRAINING)
        await self._lead()
        await self._drain()
        for instance in scene.others:
            await self._engine.stop(instance.container)

    async def _check(self) -> Step:
        scene = await self._journal.scene()
        await self._wake(scene)
        gate = self._health(scene).until_healthy(scene.stage.health_timeout_s)
        reason, self._warning = await asked_in_http(self._parts.probe, scene, gate)
        if await self._containers.take_names(scene):
            reason = await self._health(scene).until_healthy(scene.stage.health_timeout_s)
        return Step(StepName.CHECK, StepStatus.DONE, detail="; ".join(filter(None, (reason, self._warning))))

    async def _wake(self, scene: Scene) -> None:
        """Start the new container again if the engine has been away: had it been restarted, it would have ended them all."""
        if self._engine_left and scene.own is not None:
            await self._engine.start(scene.own.container)
            self._engine_left = False

    async def _switch(self) -> Step:
        scene = await self._journal.scene()
        if scene.own is not None and scene.own.state is InstanceState.STARTING:
            # On record first: whoever leads traffic from now on leads it to the new instance, and never back and forth.
            await self._journal.advance(None, None, lambda tx, deploy: switch_instances(tx, deploy, scene.stage.max_instances))
        await self._lead()
        log.info("live", action="switch", project=scene.project.name, stage=scene.stage.name, tag=scene.deploy.tag)
        return Step(StepName.SWITCH, StepStatus.DONE, detail=f"{scene.deploy.tag} is live")

    async def _watch(self) -> Step:
        scene = await self._journal.scene()
        if self._parts.traffic is None:
            return Step(StepName.WATCH, StepStatus.SKIPPED, detail="without an ingress there is no traffic to lead back")
        if not scene.stage.watch_s:
            return Step(StepName.WATCH, StepStatus.SKIPPED, detail="watch_s is 0")
        await self._wake(scene)
        reason = await self._health(scene).watch(scene.stage.watch_s, self._newer_waits)
        return Step(StepName.WATCH, StepStatus.DONE, detail=reason)

    async def _newer_waits(self) -> bool:
        return (await self._journal.scene()).newer

    async def _drain(self) -> Step:
        scene = await self._journal.scene()
        old = scene.others_that(InstanceState.DRAINING)
        if self._parts.traffic is None:
            return Step(StepName.DRAIN, StepStatus.SKIPPED, detail="without an ingress there is no traffic to lead away")
        if not old:
            return Step(StepName.DRAIN, StepStatus.SKIPPED, detail="there is no older instance")
        detail = await self._parts.traffic.drained(old, scene.stage.drain_timeout_s)
        return Step(StepName.DRAIN, StepStatus.DONE, detail=detail)

    async def _retire(self) -> Step:
        old = (await self._journal.scene()).others_that(InstanceState.DRAINING)
        for instance in old:
            await retire(self._parts, instance)
        names = ", ".join(instance.container for instance in old)
        return Step(StepName.RETIRE, StepStatus.DONE, detail=f"retired {names}" if old else "there was nothing to retire")

    async def _fail(self, reason: str, lines: str = "") -> None:
        """Write down why it failed and who serves from now on, then take back what was begun."""
        if self._finished is not None:
            await self._journal.advance(self._finished, None)
        await self._journal.give_up(self._at, reason, lines)
        await self._take_back(reason)

    async def _take_back(self, reason: str) -> None:
        scene = await self._journal.scene()
        status = DeployStatus.CANCELLED if scene.deploy.cancelling else DeployStatus.FAILED
        log.warning("deploy failed", action="fail", project=scene.project.name, tag=scene.deploy.tag, reason=reason)
        if scene.own is not None and scene.own.state is InstanceState.LIVE:
            await self._end(status, f"{scene.deploy.tag} is live, but the old instance could not be retired: {reason}")
            return
        trouble = [] if scene.stage.strategy is not Strategy.RECREATE else await self._swap_back(scene)
        try:
            await self._patiently(self._at or StepName.SWITCH, self._lead)
        except DeployFailedError as error:
            # What might still be sent requests is left running, for the sweep that comes once traffic is known to be led.
            trouble.append(f"traffic could not be led: {error}")
        else:
            await self._remove_own(scene)
        await self._end(status, "; ".join((reason, *trouble)))

    async def _remove_own(self, scene: Scene) -> None:
        """Remove the new instance, once it has answered what it was sent while it was live."""
        made = await self._journal.made_live()
        if made is not None and self._parts.traffic is not None:
            await self._parts.traffic.drained([made], scene.stage.drain_timeout_s)
        await self._containers.discard(scene, self._journal.keep_log)

    async def _swap_back(self, scene: Scene) -> list[str]:
        """Put the old instance of an app that cannot run twice back in the place of the new one; what went wrong."""
        try:
            await self._lead()  # who asks waits until the old one is back
        except (IngressError, InvalidValueError) as error:
            log.warning("traffic not held", action="undo", reason=str(error))
        await self._remove_own(scene)
        return await self._restart_old(scene)

    async def _restart_old(self, scene: Scene) -> list[str]:
        """Start again what was stopped to make way; what went wrong."""
        trouble = []
        for instance in scene.replaced:
            try:
                config = await self._journal.config_of(instance) or scene.config
                await self._patiently(StepName.START, partial(self._engine.start, instance.container))
                health = Health(self._engine, self._parts.probe, instance, config)
                await health.until_healthy(scene.stage.health_timeout_s)
            except TagboatError as error:
                trouble.append(f"{instance.container} did not come back: {error}")
            # Live all the same: it is what serves the stage, and whoever looks after live instances will go on trying.
            await self._journal.put_states([instance], InstanceState.LIVE)
        return trouble

    async def _end(self, status: DeployStatus, reason: str) -> None:
        await self._journal.end(status, reason)
        self._parts.tally.count("tagboat_deploys_total", status=status.value)

    async def _lead(self) -> None:
        if self._parts.traffic is not None:
            await self._parts.traffic.lead()

    def _health(self, scene: Scene) -> Health:
        if scene.own is None:
            raise NotFoundError("the new instance is no longer on record")
        return Health(self._engine, self._parts.probe, scene.own, scene.config)


async def retire(parts: Parts, instance: Instance) -> None:
    """Stop and remove the container of a draining instance, and write that down."""
    await parts.engine.stop(instance.container)
    await parts.engine.remove(instance.container)
    stopped = replace(instance, state=InstanceState.STOPPED, stopped_at=parts.clock())
    await parts.store.write(lambda tx: tx.put_instance(stopped))


async def _forget(_last_words: str) -> None:
    """There is no deploy any more to write them down on."""


def _filled(info: ImageInfo, project: Project) -> Project:
    """The project, completed with what its image says; a healthcheck that somebody gave stays."""
    filled = replace(project, port=port_of(info), healthcheck=project.healthcheck or healthcheck_of(info), inspected=True)
    return with_protocol(filled, info)
