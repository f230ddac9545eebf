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
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.containers import Containers
from tagboat.deploy.context import DeployContext
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
from tagboat.deploy.instances import switch_instances
from tagboat.deploy.pulling import Pulling
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.record import (
    CancelRequestedError,
    ClaimLostError,
    DeployRecord,
    PushMergedError,
)
from tagboat.deploy.resolving import unheeded, wanted_digest
from tagboat.deploy.retirement import retire
from tagboat.deploy.retry import delays
from tagboat.deploy.services import DeployServices
from tagboat.deploy.speech import asked_in_http
from tagboat.deploy.storage import settle_storage
from tagboat.deploy.successor import Successor
from tagboat.deploy.undo import Undo
from tagboat.deploy.vigil import watch_over

T = TypeVar("T")

log = structlog.get_logger("tagboat.deploy")


class Pipeline:
    """Carries one deploy through its steps."""

    def __init__(self, services: DeployServices, deploy_id: str) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = DeployRecord(services.store, services.clock, deploy_id)
        self._containers = Containers(services, self._record)
        self._pulling = Pulling(services, self._record)
        self._undo = Undo(services, self._record, self._containers, self._patiently)
        self._finished: Step | None = None
        self._made: Instance | None = None
        self._merges: int | None = None
        self._at: StepName | None = None
        self._runtime_left = False
        self._seen: WorkloadStatus | None = None
        self._checked: DeployContext | None = None
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
        StoreUnavailableError or ClaimLostError, it leaves everything as it is, to be gone on with later or by others.
        """
        context = await self._record.resume()
        if context.deploy.status.final:
            return
        try:
            if failed := context.deploy.failed_step:
                await self._undo.take_back(failed.detail)
            else:
                await self._go_on(context.deploy)
        except NotFoundError:
            await self._containers.discard(context, _forget)
            raise

    async def park(self) -> None:
        """Leave the deploy to the next start, or to another server, with somebody serving: see `Undo.park`."""
        context = await self._record.resume()
        if not context.deploy.status.final:
            await self._undo.park(context)

    async def _go_on(self, deploy: Deploy) -> None:
        while True:
            try:
                await self._take_steps(deploy)
            except PushMergedError:
                deploy = (await self._record.context()).deploy
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
            await self._record.advance(self._finished, None)
            await self._succeed()
        except AlreadyLiveError:
            reasons = ("already live", unheeded((await self._record.context()).deploy))
            await self._undo.end(DeployStatus.SUCCEEDED, "; ".join(filter(None, reasons)))
        except WasTakenBackError as error:
            await self._undo.end(
                DeployStatus.CANCELLED, error.reason, also=partial(keep_waiting, error.reason)
            )
        except (CancelRequestedError, MovedOnError, DeployFailedError) as error:
            await self._fail(failure_of(error, deploy.tag))
        except (NotFoundError, StoreUnavailableError, ClaimLostError, PushMergedError):
            raise
        except Exception as error:
            log.exception("a fault inside Tagboat", action="carry_out")
            await self._fail(
                Failure(
                    f"a fault inside Tagboat ({type(error).__name__}); the server's log says more"
                )
            )

    async def _succeed(self) -> None:
        context = await self._record.context()
        reason = live_reason(
            context.deploy.tag,
            context.config.port,
            context.project.name,
            port_set=context.project.port_set,
        )
        reasons = (reason, unheeded(context.deploy), self._warning)
        await self._undo.end(DeployStatus.SUCCEEDED, "; ".join(filter(None, reasons)), self._seen)

    async def _take(self, name: StepName) -> None:
        """Take one step. That the one before it is finished is written down in the same transaction."""
        self._at = name
        await self._record.advance(
            self._finished, name, self._make_live if name is StepName.SWITCH else self._note_made
        )
        self._finished = None
        log.info("deploy step started", action=name.value)
        self._finished = await self._patiently(name, self._steps[name])

    def _note_made(self, tx: Tx, deploy: Deploy) -> Deploy:
        """Put id and endpoint of the new instance on record, with the end of the step that made it."""
        if self._made is not None:
            tx.put_instance(
                replace(
                    tx.instance(self._made.id),
                    container_id=self._made.container_id,
                    endpoint=self._made.endpoint,
                )
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
        proven = not self._services.traffic.active or not stage.watch_s
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
                waits = waits or delays(error, self._services.clock())
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    if name is StepName.PULL:
                        await self._unless_no_image()
                    raise DeployFailedError(str(error)) from error
                self._runtime_left = self._runtime_left or isinstance(error, EngineUnavailableError)
                reason = self._record.masked(str(error))
                log.warning(
                    "step will be tried again", action=name.value, reason=reason, wait_s=wait
                )
                await self._record.note(name, f"{error}; trying again in {wait:.0f} s")
                async with self._services.places.rest():
                    await asyncio.sleep(wait)

    async def _unless_moved_on(self) -> None:
        """Raise where the tag points to another image by now: many registries drop the one of before at once."""
        context = await self._record.context()
        if context.deploy.trigger in EXACT_TRIGGERS:
            return
        try:
            digest = await self._services.tag_source.resolve(
                context.repository, context.deploy.tag, context.registry
            )
        except TagboatError:
            return  # what brought the step down tells more
        if digest != context.deploy.digest:
            raise MovedOnError

    async def _unless_no_image(self) -> None:
        """Raise with what the registry says where that is not an image: engines say it in words that mislead."""
        context = await self._record.context()
        image = ImageRef(context.repository, context.deploy.tag, context.deploy.digest)
        try:
            await self._services.tag_source.inspect(image, context.registry)
        except NotAnImageError as error:
            raise DeployFailedError(str(error)) from error
        except TagboatError:
            return  # what brought the step down tells more

    async def _resolve(self) -> Step:
        while True:
            context = await self._record.context()
            deploy = context.deploy
            self._merges = deploy.merges
            digest = await wanted_digest(self._services.tag_source, context)
            if await self._record.settle_digest(deploy, digest, context.repository):
                return await self._resolved()

    async def _resolved(self) -> Step:
        """Go on with the digest on record, unless it was taken back in the stage, or is live there already."""
        context = await self._record.context()
        digest = context.deploy.digest
        if (
            context.deploy.by_news
            and digest is not None
            and (version := await self._record.taken_back(digest))
        ):
            raise WasTakenBackError(taken_back_words(version, context.stage))
        live = None if context.deploy.force else await self._live_already(context)
        if live is not None:
            if not live.watched and not await watch_over(self._services, live):
                return await self._resolve()  # it was taken back meanwhile
            await self._record.change_instances([live], tag=context.deploy.tag)
            raise AlreadyLiveError
        return context.deploy.step(StepName.RESOLVE)

    async def _live_already(self, context: DeployContext) -> Instance | None:
        """The running instance of the very digest and configuration, if there is one."""
        same = [
            one
            for one in context.others_that(InstanceState.LIVE)
            if one.digest == context.deploy.digest
        ]
        context = await self._pulling.followed(context) if same else context
        for instance in same:
            if (
                (context.stage.max_instances == 1 or instance.tag == context.deploy.tag)
                and instance.fingerprint == context.config.fingerprint
                and await self._checked_alike(instance, context.config)
            ):
                status = await self._runtime.status(instance.handle)
                return instance if status is not None and status.running else None
        return None

    async def _checked_alike(self, instance: Instance, config: RunConfig) -> bool:
        """Whether it was let live by the healthcheck of now: a new one has yet to be passed, though its container is alike."""
        kept = await self._record.config_of(instance)
        return kept is None or kept.healthcheck == config.healthcheck

    async def _start(self) -> Step:
        context = await self._pulling.followed(await self._record.context())
        context, kept = await settle_storage(
            self._runtime, self._record, context, self._pulling.info
        )
        # What was rolled back to has been released in its day, and may know nothing of what came after it.
        if (
            context.config.options.release_command
            and not context.deploy.released
            and context.deploy.trigger is not Trigger.ROLLBACK
        ):
            await self._record.note(StepName.START, "the release command runs")
            await self._containers.release(context)
        elif context.deploy.released:
            await self._containers.forget_release(
                context.deploy.id
            )  # a death may have come before its removal
        if context.strategy is Strategy.RECREATE:
            await self._stop_old()
        self._made = await self._started(context)
        return Step(StepName.START, StepStatus.DONE, detail=f"started {self._made.container}{kept}")

    async def _started(self, context: DeployContext) -> Instance:
        """Start the new instance, with its image pulled once more where somebody has removed it since."""
        try:
            return await self._containers.start(context)
        except EngineNotFoundError:
            await self._unless_moved_on()
            if (
                context.deploy.digest is None
                or await self._runtime.inspect_image(context.image) is not None
            ):
                raise
            await ensure_image(
                self._services, context.repository, context.deploy.digest, context.registry
            )
            return await self._containers.start(await self._record.context_with(context.config))

    async def _stop_old(self) -> None:
        """Make way for an app that cannot run twice; who asks for it waits meanwhile."""
        await self._record.make_way()
        context = await self._record.context()
        await self._services.traffic.apply_stage_routes(context.stage.id)
        await self._drained(context.others_that(InstanceState.DRAINING), context.stage)
        for instance in context.others:
            await self._stop(instance)

    async def _stop(self, instance: Instance) -> None:
        try:
            await self._runtime.stop(instance.handle)
        except asyncio.CancelledError:
            await self._undo.see_stopped(instance)
            raise

    async def _check(self) -> Step:
        context = await self._record.context()
        await self._wake(context)
        health = self._health(context)
        async with self._services.places.rest():
            reason, self._warning = await asked_in_http(
                self._runtime.probe, context, health.until_healthy()
            )
            if await self._containers.take_names(context):
                reason = await health.until_healthy()
        self._seen = health.seen
        self._checked = context
        return Step(
            StepName.CHECK, StepStatus.DONE, detail="; ".join(filter(None, (reason, self._warning)))
        )

    async def _wake(self, context: DeployContext) -> None:
        """Start the new container again if the engine has been away: had it been restarted, it would have ended them all."""
        if self._runtime_left and context.own is not None:
            await self._runtime.start(context.own.handle)
            self._runtime_left = False

    async def _switch(self) -> Step:
        # The step has begun by a record that is still there: to read all of it again would keep waiting who waits for it.
        context = self._checked or await self._record.context()
        await self._services.traffic.apply_stage_routes(context.stage.id)
        log.info(
            "live",
            action="switch",
            project=context.project.name,
            stage=context.stage.name,
            tag=context.deploy.tag,
        )
        return Step(StepName.SWITCH, StepStatus.DONE, detail=f"{context.deploy.tag} is live")

    async def _watch(self) -> Step:
        context = await self._record.context()
        if not self._services.traffic.active:
            return Step(
                StepName.WATCH,
                StepStatus.SKIPPED,
                detail="without an ingress there is no traffic to lead back",
            )
        if context.own is None or context.own.watched:
            return Step(StepName.WATCH, StepStatus.SKIPPED, detail="watch_s is 0")
        await self._wake(context)
        # Where the two cannot run at once, the old one is stopped and not warm: the new one is watched to the end.
        successor = Successor(self._services, context.own, may_cut=not context.deploy.made_way)
        health = self._health(context)
        try:
            async with self._services.places.rest():
                reason = await health.watch(context.stage.watch_s, successor.takes_over)
        except DeployFailedError as error:
            raise SickenedError(str(error)) from error
        finally:
            await successor.close()
        self._seen = health.seen
        if not successor.took_over:
            await self._record.change_instances([context.own], watched=True)
        return Step(StepName.WATCH, StepStatus.DONE, detail=reason)

    async def _drain(self) -> Step:
        context = await self._record.context()
        if not self._services.traffic.active:
            return Step(
                StepName.DRAIN,
                StepStatus.SKIPPED,
                detail="without an ingress there is no traffic to lead away",
            )
        if not context.retired:
            return Step(
                StepName.DRAIN,
                StepStatus.SKIPPED,
                detail=_kept(context) or "there is no older instance",
            )
        return Step(
            StepName.DRAIN,
            StepStatus.DONE,
            detail=await self._drained(context.retired, context.stage),
        )

    async def _drained(self, old: Sequence[Instance], stage: Stage) -> str:
        if not self._services.traffic.active:
            return ""
        async with self._services.places.rest():
            return await self._services.traffic.drained(old, stage.drain_timeout_s)

    async def _retire(self) -> Step:
        context = await self._record.context()
        for instance in context.retired:
            await retire(self._services, instance)
        names = ", ".join(instance.container for instance in context.retired)
        return Step(
            StepName.RETIRE,
            StepStatus.DONE,
            detail=f"retired {names}" if names else _kept(context) or "there was nothing to retire",
        )

    async def _fail(self, failure: Failure) -> None:
        """Write down why it failed and who serves from now on, then take back what was begun."""
        if self._finished is not None:
            await self._record.advance(self._finished, None, self._note_made)
        await self._record.record_failure(
            self._at,
            failure.reason,
            "\n".join(failure.lines),
            merges=self._merges,
            sick=failure.sick,
            instead=self._queue_again if failure.moved_on else None,
            also=partial(self._make_up_for, failure),
        )
        await self._undo.take_back(self._record.masked(failure.reason))

    def _make_up_for(self, failure: Failure, tx: Tx, deploy: Deploy) -> None:
        """Queue again what made way for a tag that there is not, or that is not an image."""
        if failure.no_image:
            say_no_image(failure.reason, tx, deploy)
        if failure.no_image or (failure.missing and self._at is StepName.RESOLVE):
            DeployQueue(self._services.clock).bring_back(tx, deploy)

    def _queue_again(self, tx: Tx, deploy: Deploy) -> None:
        """Queue what the tag points to now; a call that tells of it merges into that."""
        DeployQueue(self._services.clock).trigger_deploy(
            deploy.project_id,
            deploy.stage_id,
            deploy.tag,
            tx=tx,
            trigger=deploy.trigger,
            force=deploy.force,
        )

    def _health(self, context: DeployContext) -> Health:
        if context.own is None:
            raise NotFoundError("the new instance is no longer on record")
        return Health(self._services, context, context.own, context.config)


async def _forget(_last_words: str) -> None:
    """There is no deploy any more to write them down on."""


def _kept(context: DeployContext) -> str:
    kept = [
        instance.container
        for instance in context.others_that(InstanceState.DRAINING)
        if instance not in context.retired
    ]
    return f"{', '.join(kept)} is kept until something newer has stayed healthy" if kept else ""
