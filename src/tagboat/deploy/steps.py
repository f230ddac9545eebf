"""The steps of a deploy, one method each, and what they leave on record."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from tagboat.core.catalog import Strategy
from tagboat.core.decision import taken_back_words
from tagboat.core.deploy import (
    Deploy,
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
    NotFoundError,
    StoreUnavailableError,
)
from tagboat.core.placement import placement_trouble
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.containers import Containers
from tagboat.deploy.context import DeployContext
from tagboat.deploy.diagnosis import raise_if_moved_on
from tagboat.deploy.failure import AlreadyLiveError, SickenedError, WasTakenBackError
from tagboat.deploy.health import Health
from tagboat.deploy.host_uses import refuse_nested
from tagboat.deploy.images import ensure_image
from tagboat.deploy.instances import switch_instances
from tagboat.deploy.pulling import Pulling
from tagboat.deploy.receipts import RequestCount
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.resolving import at_its_address, wanted_digest
from tagboat.deploy.retirement import retire, words_for_kept, words_for_retired
from tagboat.deploy.services import DeployServices
from tagboat.deploy.speech import asked_in_http
from tagboat.deploy.storage import settle_storage
from tagboat.deploy.successor import Successor
from tagboat.deploy.undo import Undo
from tagboat.deploy.vigil import watch_over
from tagboat.loops import next_to

log = structlog.get_logger("tagboat.deploy")


class DeploySteps:
    """The steps of one deploy.

    `merges` is how many pushes the deploy stood for when its tag was last looked up, None before.
    `seen` is the last status of its instance, `warning` what is to be said at its end, empty for
    nothing. `runtime_was_away` is set by the caller when the runtime could not be reached; at
    first it is true, as nobody knows what happened before this process took the deploy over.
    """

    def __init__(
        self,
        services: DeployServices,
        record: DeployRecord,
        containers: Containers,
        undo: Undo,
        requests: RequestCount,
    ) -> None:
        self._services = services
        self._requests = requests
        self._runtime = services.runtime
        self._record = record
        self._containers = containers
        self._undo = undo
        self._pulling = Pulling(services, record)
        self._made: Instance | None = None
        self._checked: DeployContext | None = None
        self.pull = self._pulling.pull
        self.merges: int | None = None
        self.seen: WorkloadStatus | None = None
        self.warning = ""
        self.runtime_was_away = True

    def note_made(self, tx: Tx, deploy: Deploy) -> Deploy:
        """Put id and endpoints of the new instance on record, once it is started."""
        if self._made is not None:
            known, made = tx.instance(self._made.id), self._made
            # Once: tasks may have moved since, and that is on record.
            if not known.container_id:
                tx.put_instance(
                    replace(known, container_id=made.container_id, endpoints=made.endpoints)
                )
        self._requests.save(tx)
        return deploy

    def make_live(self, tx: Tx, deploy: Deploy) -> Deploy:
        """Put on record that the new instance is live, unless it is: from now on it is routed to.

        This is part of the transaction that begins the step, because each transaction costs time
        while people wait for an instance that is healthy already.
        """
        starting = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.STARTING])
        if all(one.deploy_id != deploy.id for one in starting):
            return deploy
        stage = tx.stage(deploy.stage_id)
        proven = not self._services.traffic.is_routed(tx) or not stage.watch_s
        now = self._services.clock()
        switched = switch_instances(tx, deploy, stage.max_instances, now, watched=proven)
        if stage.stopped:
            # Not before: until something is live, a deploy that fails leaves the stage stopped.
            tx.put_stage(replace(stage, stopped_at=None, stopped_by=None))
            tx.announce(Topic.DEPLOYS)  # what pushes had queued before the stop may begin now
        self._requests.route_away(tx, switched)
        self._requests.save(tx)
        return switched

    async def resolve(self) -> Step:
        """Look up the digest of the tag, again when a push was merged in by then."""
        while True:
            context = await self._record.context()
            deploy = context.deploy
            self.merges = deploy.merges
            digest = await wanted_digest(self._services.tag_source, context)
            if await self._record.settle_digest(deploy, digest, context.repository):
                return await self.settle()

    async def settle(self) -> Step:
        """Go on with the digest on record, unless it was taken back in the stage, or is live."""
        context, version = await self._record.context_with_fuse()
        if context.deploy.by_news and version is not None:
            raise WasTakenBackError(taken_back_words(version, context.stage))
        other, traffic = at_its_address(context), self._services.traffic
        if other is not None and await self._services.store.read(traffic.is_routed):
            raise DeployFailedError(
                f"its address would be that of {other.tag}, which is live in the stage, too: in"
                " addresses, all but letters and digits is '-'; deploy it by another tag"
            )
        live = None if context.deploy.force else await self._live_already(context)
        if live is not None:
            if not live.watched and not await watch_over(self._services, live):
                return await self.resolve()  # it was taken back while it was watched
            await self._record.change_instances(
                [live], lambda one: replace(one, tag=context.deploy.tag)
            )
            raise AlreadyLiveError
        return context.deploy.step(StepName.RESOLVE)

    async def _live_already(self, context: DeployContext) -> Instance | None:
        """Return the running instance of this digest and configuration, None without one."""
        same = [
            one
            for one in context.others_that(InstanceState.LIVE)
            if one.digest == context.deploy.digest
        ]
        context = await self._pulling.followed(context) if same else context
        for instance in same:
            kept = await self._record.config_of(instance)
            # A container that a person made is what a rollback returns to; any other deploy is to
            # replace it.
            goes_back = instance.adopted and context.deploy.trigger is Trigger.ROLLBACK
            fingerprint = kept.fingerprint if goes_back and kept else instance.fingerprint
            if fingerprint != context.config.fingerprint or (
                context.stage.max_instances > 1 and instance.tag != context.deploy.tag
            ):
                continue
            # A new healthcheck has yet to be passed, although the fingerprint leaves it out.
            if kept is None or kept.healthcheck == context.config.healthcheck:
                status = await self._runtime.status(instance.handle)
                return instance if status is not None and status.running else None
        return None

    async def start(self) -> Step:
        """Run the release command where there is one, then start the new instance."""
        # Next to all that follows: a deploy must not take longer because its requests are counted.
        context = await self._record.context()
        async with next_to(self._requests.begin(context)) as counting:
            return await self._start(context, counting)

    async def _start(self, context: DeployContext, counting: Awaitable[None]) -> Step:
        context = await self._pulling.followed(context)
        context, kept = await settle_storage(
            self._runtime, self._record, context, self._pulling.info
        )
        runtime = await self._runtime.on(context.config.engine)
        field, why = placement_trouble(context.stage, context.config, is_cluster=runtime.is_cluster)
        if field:
            raise DeployFailedError(f"{field}: {why}")
        await refuse_nested(self._services, context)
        # From here on the deploy can disturb what serves.
        await counting
        # A version that is rolled back to, restarted or started again was released in its day; an
        # older one knows nothing of what newer release commands have done since.
        was_released = context.deploy.exact or context.deploy.trigger is Trigger.ROLLBACK
        if (
            context.config.options.release_command
            and not context.deploy.released
            and not was_released
        ):
            await self._record.note(StepName.START, "the release command runs")
            await self._containers.release(context)
        elif context.deploy.released:
            # A death may have come between its end and its removal.
            await self._containers.forget_release(context.deploy.id)
        if context.strategy is Strategy.RECREATE:
            await self._stop_old()
        try:
            self._made = await self._containers.start(context)
        except EngineNotFoundError:
            await raise_if_moved_on(self._services.tag_source, await self._record.context())
            digest = context.deploy.digest
            if digest is None or await runtime.inspect_image(context.image) is not None:
                raise
            # Somebody has removed the image since it was pulled.
            engine, registry = context.config.engine, context.registry
            await ensure_image(self._services, context.repository, digest, registry, engine)
            context = await self._record.context_with(context.config)
            self._made = await self._containers.start(context)
        self.runtime_was_away = False
        return Step(StepName.START, StepStatus.DONE, detail=f"started {self._made.container}{kept}")

    async def _stop_old(self) -> None:
        """Make way for an app that cannot run twice; requests wait until the new one is live."""

        def note_dark(tx: Tx, deploy: Deploy) -> None:
            self._requests.route_away(tx, deploy, dark=True)
            self._requests.save(tx)

        await self._record.make_way(note_dark)
        context = await self._record.context()
        # Before any of them is stopped: from here on, requests wait instead of failing.
        await self._services.traffic.apply_stage_routes(context.stage.id)
        if await self._services.traffic.routes_requests():
            old = context.others_that(InstanceState.DRAINING)
            async with self._services.places.rest():
                await self._services.traffic.drained(old, context.stage.drain_timeout_s)
            await self._requests.look()
        for instance in context.others:
            try:
                await self._runtime.stop(instance.handle)
            except asyncio.CancelledError:
                await self._undo.see_stopped(instance)
                raise

    async def check(self) -> Step:
        """Wait until the new instance is healthy, by the stage's names as well."""
        context = await self._record.context()
        await self._wake(context)
        health = self._health(context)

        async def tell(waits: str) -> None:
            await self._record.note(StepName.CHECK, waits)

        async with next_to(self._requests.add_new(context)), self._services.places.rest():
            reason, self.warning = await asked_in_http(
                self._runtime.probe, context, health.until_healthy(tell)
            )
            if await self._containers.take_names(context):
                # An app that does not bear it has to fail here, not in front of users.
                reason = await health.until_healthy(tell)
        if context.own is not None and health.endpoints != context.own.endpoints:
            # Some runtimes know them only once the tasks run.
            await self._record.change_instances(
                [context.own], lambda one: replace(one, endpoints=health.endpoints)
            )
            context = await self._record.context()
            await self._requests.add_new(context)
        self.seen = health.seen
        self._checked = context
        detail = "; ".join(filter(None, (reason, self.warning)))
        return Step(StepName.CHECK, StepStatus.DONE, detail=detail)

    async def switch(self) -> Step:
        """Route requests to the new instance."""
        # `check` has read the record a moment ago: reading it again would keep requests waiting.
        context = self._checked or await self._record.context()
        await self._services.traffic.apply_stage_routes(context.stage.id)
        await self._requests.lit()
        log.info("live", action="switch")
        return Step(StepName.SWITCH, StepStatus.DONE, detail=f"{context.deploy.tag} is live")

    async def watch(self) -> Step:
        """Watch the new instance; raise SickenedError where it does not stay healthy."""
        context = await self._record.context()
        if not await self._services.traffic.routes_requests():
            return _skipped_step(
                StepName.WATCH, "without an ingress there is no traffic to route back"
            )
        if context.own is None or context.own.watched:
            return _skipped_step(StepName.WATCH, "watch_s is 0")
        was_away = self.runtime_was_away
        await self._wake(context)
        # Where two cannot run at once, the old one is stopped: the new one is watched to the end.
        successor = Successor(self._services, context.own, may_cut=not context.deploy.made_way)
        health = self._health(context)
        try:
            async with self._services.places.rest():
                reason = await health.watch(
                    context.stage.watch_s,
                    self._telling(context, successor.takes_over),
                    began_anew=was_away,
                )
        except DeployFailedError as error:
            raise SickenedError(str(error)) from error
        finally:
            await successor.close()
        self.seen = health.seen
        # A watch that was cut short goes on outside of the deploy: see `keep_vigil`.
        if not successor.took_over:
            await self._record.change_instances(
                [context.own], lambda one: replace(one, watched=True)
            )
        await self._requests.look()
        detail = "; ".join(filter(None, (reason, self._requests.summary)))
        return Step(StepName.WATCH, StepStatus.DONE, detail=detail)

    def _telling(
        self, context: DeployContext, enough: Callable[[], Awaitable[bool]]
    ) -> Callable[[], Awaitable[bool]]:
        """Return `enough`, with a report of the watch's progress at each call."""
        clock = asyncio.get_running_loop().time
        began, watch_s = clock(), context.stage.watch_s

        async def tell() -> bool:
            words = await self._requests.progress()
            if words is not None:
                so_far = f"healthy for {clock() - began:.0f} s of {watch_s:g} s"
                detail = ", ".join(filter(None, (so_far, words)))
                await self._tell(StepName.WATCH, detail)
            return await enough()

        return tell

    async def _tell(self, name: StepName, detail: str) -> None:
        # The next report follows in a moment: a database that is busy must not break the step off.
        with contextlib.suppress(StoreUnavailableError):
            await self._record.note(name, detail, self._requests.save)

    async def drain(self) -> Step:
        """Wait until the instances to be retired have answered their requests."""
        context = await self._record.context()
        traffic = self._services.traffic
        if not await traffic.routes_requests():
            return _skipped_step(
                StepName.DRAIN, "without an ingress there is no traffic to route away"
            )
        if not context.retired:
            return _skipped_step(
                StepName.DRAIN, words_for_kept(context) or "there is no older instance"
            )
        if self._checked is None:
            # Another server may have switched, and our own ingress may not follow yet.
            await traffic.apply_stage_routes(context.stage.id)
        tags = ", ".join(dict.fromkeys(one.tag for one in context.retired))

        async def tell(in_flight: int) -> None:
            if await self._requests.progress() is not None:
                detail = f"{in_flight} request{'s' if in_flight != 1 else ''} on {tags}"
                await self._tell(StepName.DRAIN, detail)

        async with self._services.places.rest():
            detail = await traffic.drained(context.retired, context.stage.drain_timeout_s, tell)
        await self._requests.look()
        return Step(StepName.DRAIN, StepStatus.DONE, detail=detail)

    async def retire(self) -> Step:
        """Stop and remove the instances that the new one has replaced."""
        context = await self._record.context()
        for instance in context.retired:
            await retire(self._services, instance)
        return Step(StepName.RETIRE, StepStatus.DONE, detail=words_for_retired(context))

    async def _wake(self, context: DeployContext) -> None:
        """Start the new container again if the engine was away: a restart of it ends them all."""
        if self.runtime_was_away and context.own is not None:
            # Where it is gone, the look at its health says so.
            with contextlib.suppress(EngineNotFoundError):
                await self._runtime.start(context.own.handle)
            self.runtime_was_away = False

    def _health(self, context: DeployContext) -> Health:
        if context.own is None:
            raise NotFoundError("the new instance is no longer on record")
        return Health(self._services, context, context.own, context.config)


def _skipped_step(name: StepName, why: str) -> Step:
    return Step(name, StepStatus.SKIPPED, detail=why)
