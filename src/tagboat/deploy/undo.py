"""Taking a deploy back: the instance that served before serves again, the new one is removed.

Why the deploy failed, and which instance serves from then on, is on record before any of this is
called, and each of these calls can be made again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    live_again,
)
from tagboat.core.errors import (
    DeployFailedError,
    IngressError,
    InvalidValueError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.containers import Containers, last_words
from tagboat.deploy.context import DeployContext
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.health import Health
from tagboat.deploy.ownership import INSTANCE
from tagboat.deploy.receipts import RequestCount
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.services import DeployServices

PARK_STOP_S = 3.0
"""Seconds that a new instance has to stop when the server itself has to stop."""
HURRY_S = 2
"""Seconds that an old instance has left to stop in that case, before it is started again."""

_NOT_ENDED = (InstanceState.LIVE, InstanceState.DRAINING)

log = structlog.get_logger("tagboat.deploy")


Retrying = Callable[[StepName, Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does the work of a step, again while the cause of a failure may pass; else DeployFailedError."""


class Undo:
    """Takes one deploy back."""

    def __init__(
        self,
        services: DeployServices,
        record: DeployRecord,
        containers: Containers,
        retrying: Retrying,
        requests: RequestCount,
    ) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = record
        self._containers = containers
        self._retrying = retrying
        self._requests = requests

    async def end(
        self,
        status: DeployStatus,
        reason: str,
        seen: WorkloadStatus | None = None,
        also: Callable[[Tx, Deploy], None] = lambda _tx, _: None,
    ) -> None:
        """Record how the deploy ended; see `DeployRecord.end`."""
        await self._requests.end()

        def write_all(tx: Tx, deploy: Deploy) -> None:
            self._requests.save(tx)
            also(tx, deploy)

        await self._record.end(status, reason, seen, write_all)

    async def take_back(self, reason: str) -> None:
        """Route traffic back, remove the new container, and end the deploy."""
        context = await self._record.context()
        deploy, own = context.deploy, context.own
        if deploy.cancelling:
            status = DeployStatus.CANCELLED
        elif deploy.reason is not None:  # another deploy was queued in its place
            status = DeployStatus.SUPERSEDED
        else:
            status = DeployStatus.FAILED
        report = log.warning if status is DeployStatus.FAILED else log.info
        report(f"deploy {status.value}", action="take back", reason=reason)
        if own is not None and own.state is InstanceState.LIVE:
            # The old one may have been removed in part: it is too late to go back to it.
            words = f"{deploy.tag} is live, but the old instance could not be retired: {reason}"
            await self.end(status, words)
            return
        trouble = await self._swap_back(context) if deploy.made_way else []
        await self._requests.back()
        try:
            await self._retrying(
                StepName.SWITCH,
                partial(self._services.traffic.apply_stage_routes, context.stage.id),
            )
        except DeployFailedError as error:
            # The new one may still get requests: it stays until reconcile has applied the routes.
            trouble.append(f"routing update failed: {error}")
        else:
            await self._remove_own(context)
        # The one that serves again may have gone meanwhile: reconcile is woken to look at once.
        await self.end(
            status,
            "; ".join((reason, *trouble)),
            also=lambda tx, _: tx.announce(Topic.DRAINS),
        )

    async def park(self, context: DeployContext) -> None:
        """Leave the deploy to a later start; the old instance serves until then.

        Where it was stopped for the new one, the new one has `PARK_STOP_S` seconds to stop, since
        the two cannot run at once.
        """
        serves = context.own is not None and context.own.state is InstanceState.LIVE
        if context.deploy.made_way and not serves:
            for container in await self._containers.made_for(context.deploy.id, INSTANCE):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PARK_STOP_S):
                        await self._runtime.stop(container.id)
                # Otherwise the deploy begins again, and its output is that of the next try.
                if context.deploy.failed_step is not None:
                    lines = await last_words(self._runtime, container.id)
                    await self._record.keep_log("\n".join(lines))
                await self._runtime.remove(container.id)
            for instance in context.replaced:
                await self._runtime.start(instance.handle)
            await self._requests.lit()
            await self._requests.back()
            await self._record.write(lambda tx, _: requeue(context, self._requests.save, tx))
            await self._services.traffic.apply_stage_routes(context.stage.id)
            return
        if context.deploy.made_way:
            # The new one is live on record, but requests may still be held.
            await self._services.traffic.apply_stage_routes(context.stage.id)
        await self._record.change(claimed_by=None, claimed_until=None)

    async def see_stopped(self, instance: Instance) -> None:
        """Return once an instance is stopped whose stop was broken off, so that it can be started.

        The engine goes on with a stop whose caller has left; an instance that was started by then
        would end with it. When the server itself has to stop, the app has `HURRY_S` seconds left,
        so that it serves again while the server is down.
        """
        with contextlib.suppress(TagboatError, ClaimLostError):
            cancelling = (await self._record.context()).deploy.cancelling
            await self._runtime.stop(instance.handle, None if cancelling else HURRY_S)

    async def _remove_own(self, context: DeployContext) -> None:
        """Remove the new instance, after it has answered the requests it got while it was live."""
        made = await self._record.made_live()
        if made is not None and await self._services.traffic.routes_requests():
            async with self._services.places.rest():
                await self._services.traffic.drained([made], context.stage.drain_timeout_s)
        await self._containers.discard(context, self._record.keep_log)

    async def _swap_back(self, context: DeployContext) -> list[str]:
        """Start the old instance of an app that cannot run twice again; return what went wrong."""
        try:
            # Requests are held until the old one is back.
            await self._services.traffic.apply_stage_routes(context.stage.id)
        except (IngressError, InvalidValueError) as error:
            log.warning("traffic not held", action="undo", reason=str(error))
        await self._requests.dark()
        # At once: a death while the old one starts must not shorten the downtime. But a database
        # that is busy must not keep it from starting.
        with contextlib.suppress(StoreUnavailableError):
            await self._record.write(lambda tx, _: self._requests.save(tx))
        await self._remove_own(context)
        trouble = []
        for instance in context.replaced:
            try:
                config = await self._record.config_of(instance) or context.config
                await self._retrying(StepName.START, partial(self._runtime.start, instance.handle))
                async with self._services.places.rest():
                    await Health(self._services, context, instance, config).until_healthy()
            except TagboatError as error:
                trouble.append(f"{instance.container} did not come back: {error}")
            # Live all the same: it is the one that serves the stage, and reconcile will go on
            # trying to start it.
            await self._record.change_instances([instance], live_again)
        return trouble


def requeue(context: DeployContext, also: Callable[[Tx], None], tx: Tx) -> None:
    """Let the stopped instances serve again, and the deploy begin again at its next claim.

    A deploy that has failed keeps its steps: it is taken back at its next claim. `also` writes what
    belongs to it.
    """
    also(tx)
    for instance in context.replaced:
        tx.put_instance(live_again(tx.instance(instance.id)), was=_NOT_ENDED)
    deploy = replace(tx.deploy(context.deploy.id), claimed_by=None, claimed_until=None)
    if deploy.failed_step is None:
        deploy = replace(deploy, status=DeployStatus.QUEUED, made_way=False, replaced=())
    tx.put_deploy(deploy)
    tx.announce(Topic.DEPLOYS)
