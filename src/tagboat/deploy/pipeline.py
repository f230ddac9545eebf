"""The course of a deploy: its steps in order, what is tried again, and what happens on a failure.

Before `switch` the old instance is not touched, except by `strategy: recreate`, whose app cannot
run twice. A death of the process at any point leaves a record from which `carry_out`, called again,
goes on. This is true of the undo as well: why a deploy failed, and which instance serves from then
on, is on record before anything is taken back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from tagboat.core.counters import STEP_DURATION
from tagboat.core.deploy import Deploy, DeployStatus, Step, StepName, StepStatus
from tagboat.core.errors import (
    DeployFailedError,
    EngineNotFoundError,
    EngineUnavailableError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.generics import T
from tagboat.core.ports import Tx
from tagboat.deploy.containers import Containers
from tagboat.deploy.context import DeployContext
from tagboat.deploy.diagnosis import raise_if_moved_on, raise_if_no_image
from tagboat.deploy.failure import (
    AlreadyLiveError,
    Failure,
    MovedOnError,
    WasTakenBackError,
    failure_of,
    keep_waiting,
    say_no_image,
)
from tagboat.deploy.fence import ClaimLostError, Fence, fenced
from tagboat.deploy.following import live_reason
from tagboat.deploy.log_words import deploy_words
from tagboat.deploy.queue import DeployQueue, drop_older_pushes
from tagboat.deploy.receipts import RequestCount
from tagboat.deploy.record import CancelRequestedError, DeployRecord, PushMergedError
from tagboat.deploy.resolving import unheeded
from tagboat.deploy.retry import delays
from tagboat.deploy.services import DeployServices
from tagboat.deploy.steps import DeploySteps
from tagboat.deploy.undo import Undo

log = structlog.get_logger("tagboat.deploy")


class Pipeline:
    """Carries one deploy through its steps.

    `fence` is the claim by which it acts, None for that on record at its beginning.
    """

    def __init__(
        self, services: DeployServices, deploy_id: str, fence: Fence | None = None
    ) -> None:
        self._record = DeployRecord(services.store, services.clock, deploy_id, fence)
        services = fenced(services, self._record.fence)
        self._services, self._deploy_id = services, deploy_id
        self._containers = Containers(services, self._record)
        requests = RequestCount(services.store, services.traffic, services.clock, deploy_id)
        self._undo = Undo(services, self._record, self._containers, self._retrying, requests)
        self._doing = DeploySteps(services, self._record, self._containers, self._undo, requests)
        self._finished: Step | None = None
        self._at: StepName | None = None
        self._steps: Mapping[StepName, Callable[[], Awaitable[Step]]] = {
            StepName.RESOLVE: self._doing.resolve,
            StepName.PULL: self._doing.pull,
            StepName.START: self._doing.start,
            StepName.CHECK: self._doing.check,
            StepName.SWITCH: self._doing.switch,
            StepName.WATCH: self._doing.watch,
            StepName.DRAIN: self._doing.drain,
            StepName.RETIRE: self._doing.retire,
        }

    async def carry_out(self) -> None:
        """Go on from wherever the record stands, to the end.

        Raises NotFoundError once the deploy is deleted; its container is removed first. When
        cancelled, and when it raises StoreUnavailableError or ClaimLostError, it leaves everything
        as it is: a later call, here or on another server, goes on.
        """
        with structlog.contextvars.bound_contextvars(deploy=self._deploy_id):
            context = await self._record.resume()
        if not context.deploy.status.final:
            # Each line from here on says which deploy it is about.
            with structlog.contextvars.bound_contextvars(**deploy_words(context)):
                await self._go_on(context)

    async def _go_on(self, context: DeployContext) -> None:
        deploy = context.deploy
        try:
            if deploy.failed_step:
                # It has failed before, and its undo was cut off: only that is left to do.
                await self._undo.take_back(deploy.failed_step.detail)
                return
            while True:
                try:
                    await self._take_steps(deploy)
                except PushMergedError:
                    # A push came in while the look-up failed: its tag may be there now.
                    deploy = (await self._record.context()).deploy
                else:
                    return
        except NotFoundError:
            await self._containers.discard(context, keep=None)
            raise

    async def park(self) -> None:
        """Leave the deploy to the next start, or to another server; see `Undo.park`."""
        context = await self._record.resume()
        if not context.deploy.status.final:
            with structlog.contextvars.bound_contextvars(**deploy_words(context)):
                await self._undo.park(context)

    async def _take_steps(self, deploy: Deploy) -> None:
        try:
            for name in StepName:
                if deploy.step(name).status not in {StepStatus.DONE, StepStatus.SKIPPED}:
                    self._at = name
                    note = self._doing.note_made
                    if name is StepName.SWITCH:
                        note = self._doing.make_live
                    # The end of the step before goes on record in the same transaction.
                    await self._record.advance(self._finished, name, note)
                    self._finished = None
                    log.info("deploy step started", action=name.value)
                    self._finished = await self._timed(name)
                elif (
                    name is StepName.RESOLVE
                    and deploy.step(StepName.PULL).status is StepStatus.PENDING
                ):
                    # A death may have come before the digest was compared with what is live.
                    self._at = name
                    self._finished = await self._retrying(name, self._doing.settle)
            await self._record.advance(self._finished, None)
            context = await self._record.context()
            port, project = context.config.port, context.project
            reasons = (
                live_reason(context.deploy.tag, port, project.name, port_set=project.port_set),
                unheeded(context.deploy),
                self._doing.warning,
            )
            await self._undo.end(
                DeployStatus.SUCCEEDED,
                "; ".join(filter(None, reasons)),
                self._doing.seen,
                also=drop_older_pushes,
            )
        except AlreadyLiveError:
            unheeded_digest = unheeded((await self._record.context()).deploy)
            reason = "; ".join(filter(None, ("already live", unheeded_digest)))
            await self._undo.end(DeployStatus.SUCCEEDED, reason)
        except WasTakenBackError as error:
            await self._undo.end(
                DeployStatus.CANCELLED, error.reason, also=partial(keep_waiting, error.reason)
            )
        except (CancelRequestedError, MovedOnError, DeployFailedError) as error:
            await self._fail(failure_of(error, deploy.tag))
        # Without the record, or with another server at it, nothing may be taken back.
        except (NotFoundError, StoreUnavailableError, ClaimLostError, PushMergedError):
            raise
        except Exception as error:
            log.exception("a fault inside Tagboat", action="carry_out")
            words = f"a fault inside Tagboat ({type(error).__name__}); the server's log says more"
            await self._fail(Failure(words))

    async def _timed(self, name: StepName) -> Step:
        began = time.monotonic()
        step = await self._retrying(name, self._steps[name])
        if step.status is StepStatus.DONE:
            took_s = time.monotonic() - began
            self._services.counters.observe(STEP_DURATION, took_s, step=name.value)
        return step

    async def _retrying(self, name: StepName, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, again while the cause of a failure may pass; then raise DeployFailedError."""
        waits = None
        while True:
            try:
                return await work()
            except (NotFoundError, StoreUnavailableError, DeployFailedError):
                raise
            except TagboatError as error:
                tags = self._services.tag_source
                if name is StepName.PULL or (
                    name is StepName.START and isinstance(error, EngineNotFoundError)
                ):
                    await raise_if_moved_on(tags, await self._record.context())
                # Kept for all tries of a step: errors that alternate must not prolong it for ever.
                waits = waits or delays(error, self._services.clock())
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    if name is StepName.PULL:
                        await raise_if_no_image(tags, await self._record.context())
                    raise DeployFailedError(str(error)) from error
                if isinstance(error, EngineUnavailableError):
                    self._doing.runtime_was_away = True
                reason = self._record.masked(str(error))
                log.warning(
                    "step will be tried again", action=name.value, reason=reason, wait_s=wait
                )
                await self._record.note(name, f"{error}; trying again in {wait:.0f} s")
                # A deploy that only waits keeps no place from one that could work.
                async with self._services.places.rest():
                    await asyncio.sleep(wait)

    async def _fail(self, failure: Failure) -> None:
        """Record the failure and which instance serves from now on, then take the deploy back."""

        def queue_again(tx: Tx, deploy: Deploy) -> None:
            # What the tag points to by now; a notification about it merges into this deploy.
            DeployQueue(self._services.clock).trigger_deploy(
                deploy.project_id,
                deploy.stage_id,
                deploy.tag,
                tx=tx,
                trigger=deploy.trigger,
                force=deploy.force,
            )

        def make_up_for(tx: Tx, deploy: Deploy) -> None:
            if failure.no_image:
                say_no_image(failure.reason, tx, deploy)
            # A deploy that made way for a tag that is missing, or is not an image, gets its turn.
            if failure.no_image or (failure.missing and self._at is StepName.RESOLVE):
                DeployQueue(self._services.clock).bring_back(tx, deploy)

        # The undo has to know what the step before has made.
        if self._finished is not None:
            await self._record.advance(self._finished, None, self._doing.note_made)
        await self._record.record_failure(
            self._at,
            failure.reason,
            "\n".join(failure.lines),
            merges=self._doing.merges,
            sick=failure.sick,
            instead=queue_again if failure.moved_on else None,
            also=make_up_for,
        )
        await self._undo.take_back(self._record.masked(failure.reason))
