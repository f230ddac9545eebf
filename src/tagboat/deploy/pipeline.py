"""The steps of a deploy and their undo.

Whatever happens before `switch`, the old instance is not touched (but by `strategy: recreate`, whose app cannot run twice); a
death of the process at any point leaves a record from which `carry_out`, called again, goes on. That holds for the undo too:
why a deploy failed, and who serves from then on, is written down before anything is taken back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from tagboat.core.catalog import Stage, Strategy
from tagboat.core.decision import taken_back_words
from tagboat.core.deploy import (
    EXACT_TRIGGERS,
    ContainerStatus,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import (
    DeployFailedError,
    EngineNotFoundError,
    EngineUnavailableError,
    NotAnImageError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.image import ImageRef
from tagboat.core.ports import Tx
from tagboat.core.run import RunConfig
from tagboat.deploy.containers import Containers, Parts
from tagboat.deploy.failure import (
    AlreadyLiveError,
    Failure,
    MovedOnError,
    SickenedError,
    WasTakenBackError,
    failure_of,
    keep_waiting,
    say_no_image,
)
from tagboat.deploy.following import live_reason
from tagboat.deploy.health import Health
from tagboat.deploy.images import ensure_image
from tagboat.deploy.journal import (
    CalledOffError,
    Journal,
    MergedMeanwhileError,
    TakenOverError,
    switch_instances,
)
from tagboat.deploy.patience import delays
from tagboat.deploy.pulling import Pulling
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.resolving import unheeded, wanted_digest
from tagboat.deploy.retirement import retire
from tagboat.deploy.scene import Scene
from tagboat.deploy.speech import asked_in_http
from tagboat.deploy.storage import settle_storage
from tagboat.deploy.successor import Successor
from tagboat.deploy.undo import Undo
from tagboat.deploy.vigil import watch_over

T = TypeVar("T")

log = structlog.get_logger("tagboat.deploy")


class Pipeline:
    """Carries one deploy through its steps."""

    def __init__(self, parts: Parts, deploy_id: str) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = Journal(parts.store, parts.clock, deploy_id)
        self._containers = Containers(parts, self._journal)
        self._pulling = Pulling(parts, self._journal)
        self._undo = Undo(parts, self._journal, self._containers, self._patiently)
        self._finished: Step | None = None
        self._made: Instance | None = None
        self._merges: int | None = None
        self._at: StepName | None = None
        self._engine_left = False
        self._seen: ContainerStatus | None = None
        self._checked: Scene | None = None
        self._warning = ""
        self._steps: Mapping[StepName, Callable[[], Awaitable[Step]]] = {
            StepName.RESOLVE: self._resolve,
            StepName.PULL: self._pulling.pull,
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
                await self._undo.take_back(failed.detail)
            else:
                await self._go_on(scene.deploy)
        except NotFoundError:
            await self._containers.discard(scene, _forget)
            raise

    async def park(self) -> None:
        """Leave the deploy to the next start, or to another server, with somebody serving: see `Undo.park`."""
        scene = await self._journal.resume()
        if not scene.deploy.status.final:
            await self._undo.park(scene)

    async def _go_on(self, deploy: Deploy) -> None:
        while True:
            try:
                await self._take_steps(deploy)
            except MergedMeanwhileError:
                deploy = (await self._journal.scene()).deploy
            else:
                return

    async def _take_steps(self, deploy: Deploy) -> None:
        try:
            for name in StepName:
                if deploy.step(name).status not in {StepStatus.DONE, StepStatus.SKIPPED}:
                    await self._take(name)
                elif (
                    name is StepName.RESOLVE
                    and deploy.step(StepName.PULL).status is StepStatus.PENDING
                ):
                    self._at = (
                        name  # a death may have come before it was seen what that digest is here
                    )
                    self._finished = await self._patiently(name, self._resolved)
            await self._journal.advance(self._finished, None)
            await self._succeed()
        except AlreadyLiveError:
            reasons = ("already live", unheeded((await self._journal.scene()).deploy))
            await self._undo.end(DeployStatus.SUCCEEDED, "; ".join(filter(None, reasons)))
        except WasTakenBackError as error:
            await self._undo.end(
                DeployStatus.CANCELLED, error.reason, also=partial(keep_waiting, error.reason)
            )
        except (CalledOffError, MovedOnError, DeployFailedError) as error:
            await self._fail(failure_of(error, deploy.tag))
        except (NotFoundError, StoreUnavailableError, TakenOverError, MergedMeanwhileError):
            raise
        except Exception as error:
            log.exception("a fault inside Tagboat", action="carry_out")
            await self._fail(
                Failure(
                    f"a fault inside Tagboat ({type(error).__name__}); the server's log says more"
                )
            )

    async def _succeed(self) -> None:
        scene = await self._journal.scene()
        reason = live_reason(
            scene.deploy.tag, scene.config.port, scene.project.name, port_set=scene.project.port_set
        )
        reasons = (reason, unheeded(scene.deploy), self._warning)
        await self._undo.end(DeployStatus.SUCCEEDED, "; ".join(filter(None, reasons)), self._seen)

    async def _take(self, name: StepName) -> None:
        """Take one step. That the one before it is finished is written down in the same transaction."""
        self._at = name
        await self._journal.advance(
            self._finished, name, self._make_live if name is StepName.SWITCH else self._note_made
        )
        self._finished = None
        log.info("deploy step started", action=name.value)
        self._finished = await self._patiently(name, self._steps[name])

    def _note_made(self, tx: Tx, deploy: Deploy) -> Deploy:
        """Put the engine's id of the new container on record, with the end of the step that made it."""
        if self._made is not None:
            tx.put_instance(
                replace(tx.instance(self._made.id), container_id=self._made.container_id)
            )
        return deploy

    def _make_live(self, tx: Tx, deploy: Deploy) -> Deploy:
        """Put on record who is live, unless it is: whoever leads traffic from now on leads it to the new instance.

        In the transaction that begins the step: each costs time, while people wait for what is healthy already.
        """
        own = [
            one
            for one in tx.instances(stage_id=deploy.stage_id, states=[InstanceState.STARTING])
            if one.deploy_id == deploy.id
        ]
        if not own:
            return deploy
        stage = tx.stage(deploy.stage_id)
        proven = self._parts.traffic is None or not stage.watch_s
        return switch_instances(tx, deploy, stage.max_instances, watched=proven)

    async def _patiently(self, name: StepName, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, again where the cause of a failure may pass by itself; raise DeployFailedError when it does not."""
        waits = None
        while True:
            try:
                return await work()
            except (NotFoundError, StoreUnavailableError, DeployFailedError):
                raise
            except TagboatError as error:
                if name is StepName.PULL or (
                    name is StepName.START and isinstance(error, EngineNotFoundError)
                ):
                    await self._unless_moved_on()
                waits = waits or delays(error, self._parts.clock())
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    if name is StepName.PULL:
                        await self._unless_no_image()
                    raise DeployFailedError(str(error)) from error
                self._engine_left = self._engine_left or isinstance(error, EngineUnavailableError)
                reason = self._journal.masked(str(error))
                log.warning(
                    "step will be tried again", action=name.value, reason=reason, wait_s=wait
                )
                await self._journal.note(name, f"{error}; trying again in {wait:.0f} s")
                async with self._parts.places.rest():
                    await asyncio.sleep(wait)

    async def _unless_moved_on(self) -> None:
        """Raise where the tag points to another image by now: many registries drop the one of before at once."""
        scene = await self._journal.scene()
        if scene.deploy.trigger in EXACT_TRIGGERS:
            return
        try:
            digest = await self._parts.tag_source.resolve(
                scene.repository, scene.deploy.tag, scene.registry
            )
        except TagboatError:
            return  # what brought the step down tells more
        if digest != scene.deploy.digest:
            raise MovedOnError

    async def _unless_no_image(self) -> None:
        """Raise with what the registry says where that is not an image: engines say it in words that mislead."""
        scene = await self._journal.scene()
        image = ImageRef(scene.repository, scene.deploy.tag, scene.deploy.digest)
        try:
            await self._parts.tag_source.inspect(image, scene.registry)
        except NotAnImageError as error:
            raise DeployFailedError(str(error)) from error
        except TagboatError:
            return  # what brought the step down tells more

    async def _resolve(self) -> Step:
        while True:
            scene = await self._journal.scene()
            deploy = scene.deploy
            self._merges = deploy.merges
            digest = await wanted_digest(self._parts.tag_source, scene)
            if await self._journal.settle_digest(deploy, digest, scene.repository):
                return await self._resolved()

    async def _resolved(self) -> Step:
        """Go on with the digest on record, unless it was taken back in the stage, or is live there already."""
        scene = await self._journal.scene()
        digest = scene.deploy.digest
        if (
            scene.deploy.by_news
            and digest is not None
            and (version := await self._journal.taken_back(digest))
        ):
            raise WasTakenBackError(taken_back_words(version, scene.stage))
        live = None if scene.deploy.force else await self._live_already(scene)
        if live is not None:
            if not live.watched and not await watch_over(self._parts, live):
                return await self._resolve()  # it was taken back meanwhile
            await self._journal.change_instances([live], tag=scene.deploy.tag)
            raise AlreadyLiveError
        return scene.deploy.step(StepName.RESOLVE)

    async def _live_already(self, scene: Scene) -> Instance | None:
        """The running instance of the very digest and configuration, if there is one."""
        same = [
            one
            for one in scene.others_that(InstanceState.LIVE)
            if one.digest == scene.deploy.digest
        ]
        scene = await self._pulling.followed(scene) if same else scene
        for instance in same:
            if (
                (scene.stage.max_instances == 1 or instance.tag == scene.deploy.tag)
                and instance.fingerprint == scene.config.fingerprint
                and await self._checked_alike(instance, scene.config)
            ):
                status = await self._engine.status(instance.handle)
                return instance if status is not None and status.running else None
        return None

    async def _checked_alike(self, instance: Instance, config: RunConfig) -> bool:
        """Whether it was let live by the healthcheck of now: a new one has yet to be passed, though its container is alike."""
        kept = await self._journal.config_of(instance)
        return kept is None or kept.healthcheck == config.healthcheck

    async def _start(self) -> Step:
        scene = await self._pulling.followed(await self._journal.scene())
        scene, kept = await settle_storage(self._engine, self._journal, scene, self._pulling.info)
        # What was rolled back to has been released in its day, and may know nothing of what came after it.
        if (
            scene.config.options.release_command
            and not scene.deploy.released
            and scene.deploy.trigger is not Trigger.ROLLBACK
        ):
            await self._journal.note(StepName.START, "the release command runs")
            await self._containers.release(scene)
        elif scene.deploy.released:
            await self._containers.forget_release(
                scene.deploy.id
            )  # a death may have come before its removal
        if scene.strategy is Strategy.RECREATE:
            await self._stop_old()
        self._made = await self._started(scene)
        return Step(StepName.START, StepStatus.DONE, detail=f"started {self._made.container}{kept}")

    async def _started(self, scene: Scene) -> Instance:
        """Start the new instance, with its image pulled once more where somebody has removed it since."""
        try:
            return await self._containers.start(scene)
        except EngineNotFoundError:
            await self._unless_moved_on()
            if (
                scene.deploy.digest is None
                or await self._engine.inspect_image(scene.image) is not None
            ):
                raise
            await ensure_image(self._parts, scene.repository, scene.deploy.digest, scene.registry)
            return await self._containers.start(await self._journal.scene_with(scene.config))

    async def _stop_old(self) -> None:
        """Make way for an app that cannot run twice; who asks for it waits meanwhile."""
        await self._journal.make_way()
        scene = await self._journal.scene()
        await self._lead(scene.stage)
        await self._drained(scene.others_that(InstanceState.DRAINING), scene.stage)
        for instance in scene.others:
            await self._stop(instance)

    async def _stop(self, instance: Instance) -> None:
        try:
            await self._engine.stop(instance.handle)
        except asyncio.CancelledError:
            await self._undo.see_stopped(instance)
            raise

    async def _check(self) -> Step:
        scene = await self._journal.scene()
        await self._wake(scene)
        health = self._health(scene)
        async with self._parts.places.rest():
            reason, self._warning = await asked_in_http(
                self._parts.probe, scene, health.until_healthy()
            )
            if await self._containers.take_names(scene):
                reason = await health.until_healthy()
        self._seen = health.seen
        self._checked = scene
        return Step(
            StepName.CHECK, StepStatus.DONE, detail="; ".join(filter(None, (reason, self._warning)))
        )

    async def _wake(self, scene: Scene) -> None:
        """Start the new container again if the engine has been away: had it been restarted, it would have ended them all."""
        if self._engine_left and scene.own is not None:
            await self._engine.start(scene.own.handle)
            self._engine_left = False

    async def _switch(self) -> Step:
        # The step has begun by a record that is still there: to read all of it again would keep waiting who waits for it.
        scene = self._checked or await self._journal.scene()
        await self._lead(scene.stage)
        log.info(
            "live",
            action="switch",
            project=scene.project.name,
            stage=scene.stage.name,
            tag=scene.deploy.tag,
        )
        return Step(StepName.SWITCH, StepStatus.DONE, detail=f"{scene.deploy.tag} is live")

    async def _watch(self) -> Step:
        scene = await self._journal.scene()
        if self._parts.traffic is None:
            return Step(
                StepName.WATCH,
                StepStatus.SKIPPED,
                detail="without an ingress there is no traffic to lead back",
            )
        if scene.own is None or scene.own.watched:
            return Step(StepName.WATCH, StepStatus.SKIPPED, detail="watch_s is 0")
        await self._wake(scene)
        # Where the two cannot run at once, the old one is stopped and not warm: the new one is watched to the end.
        successor = Successor(self._parts, scene.own, may_cut=not scene.deploy.made_way)
        health = self._health(scene)
        try:
            async with self._parts.places.rest():
                reason = await health.watch(scene.stage.watch_s, successor.takes_over)
        except DeployFailedError as error:
            raise SickenedError(str(error)) from error
        finally:
            await successor.close()
        self._seen = health.seen
        if not successor.took_over:
            await self._journal.change_instances([scene.own], watched=True)
        return Step(StepName.WATCH, StepStatus.DONE, detail=reason)

    async def _drain(self) -> Step:
        scene = await self._journal.scene()
        if self._parts.traffic is None:
            return Step(
                StepName.DRAIN,
                StepStatus.SKIPPED,
                detail="without an ingress there is no traffic to lead away",
            )
        if not scene.retired:
            return Step(
                StepName.DRAIN,
                StepStatus.SKIPPED,
                detail=_kept(scene) or "there is no older instance",
            )
        return Step(
            StepName.DRAIN, StepStatus.DONE, detail=await self._drained(scene.retired, scene.stage)
        )

    async def _drained(self, old: Sequence[Instance], stage: Stage) -> str:
        if self._parts.traffic is None:
            return ""
        async with self._parts.places.rest():
            return await self._parts.traffic.drained(old, stage.drain_timeout_s)

    async def _retire(self) -> Step:
        scene = await self._journal.scene()
        for instance in scene.retired:
            await retire(self._parts, instance)
        names = ", ".join(instance.container for instance in scene.retired)
        return Step(
            StepName.RETIRE,
            StepStatus.DONE,
            detail=f"retired {names}" if names else _kept(scene) or "there was nothing to retire",
        )

    async def _fail(self, failure: Failure) -> None:
        """Write down why it failed and who serves from now on, then take back what was begun."""
        if self._finished is not None:
            await self._journal.advance(self._finished, None, self._note_made)
        await self._journal.give_up(
            self._at,
            failure.reason,
            "\n".join(failure.lines),
            merges=self._merges,
            sick=failure.sick,
            instead=self._queue_again if failure.moved_on else None,
            also=partial(self._make_up_for, failure),
        )
        await self._undo.take_back(self._journal.masked(failure.reason))

    def _make_up_for(self, failure: Failure, tx: Tx, deploy: Deploy) -> None:
        """Queue again what made way for a tag that there is not, or that is not an image."""
        if failure.no_image:
            say_no_image(failure.reason, tx, deploy)
        if failure.no_image or (failure.missing and self._at is StepName.RESOLVE):
            DeployQueue(self._parts.clock).bring_back(tx, deploy)

    def _queue_again(self, tx: Tx, deploy: Deploy) -> None:
        """Queue what the tag points to now; a call that tells of it merges into that."""
        DeployQueue(self._parts.clock).trigger_deploy(
            deploy.project_id,
            deploy.stage_id,
            deploy.tag,
            tx=tx,
            trigger=deploy.trigger,
            force=deploy.force,
        )

    async def _lead(self, stage: Stage) -> None:
        if self._parts.traffic is not None:
            await self._parts.traffic.lead_stage(stage.id)

    def _health(self, scene: Scene) -> Health:
        if scene.own is None:
            raise NotFoundError("the new instance is no longer on record")
        return Health(self._parts, scene, scene.own, scene.config)


async def _forget(_last_words: str) -> None:
    """There is no deploy any more to write them down on."""


def _kept(scene: Scene) -> str:
    kept = [
        instance.container
        for instance in scene.others_that(InstanceState.DRAINING)
        if instance not in scene.retired
    ]
    return f"{', '.join(kept)} is kept until something newer has stayed healthy" if kept else ""
