"""Taking back what a deploy has begun: who served before serves again, and nothing of the new one stays.

Why a deploy failed, and who serves from then on, is on record before any of this is called; all of it can be done again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName
from tagboat.core.errors import DeployFailedError, IngressError, InvalidValueError, TagboatError
from tagboat.core.ports import Topic, Tx
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.containers import Containers, last_words
from tagboat.deploy.context import DeployContext
from tagboat.deploy.health import Health
from tagboat.deploy.ownership import INSTANCE
from tagboat.deploy.record import ClaimLostError, DeployRecord
from tagboat.deploy.services import DeployServices

PARK_STOP_S = 3.0
"""Seconds that a new instance is given to stop when the server itself has to."""
HURRY_S = 2
"""Seconds that an old one has left to stop then, before it is started again."""

log = structlog.get_logger("tagboat.deploy")


Patience = Callable[[StepName, Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does work of a step, again where the cause of a failure may pass; raises DeployFailedError when it does not."""


class Undo:
    """Takes back one deploy."""

    def __init__(
        self,
        services: DeployServices,
        record: DeployRecord,
        containers: Containers,
        patiently: Patience,
    ) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = record
        self._containers = containers
        self._patiently = patiently

    async def end(
        self,
        status: DeployStatus,
        reason: str,
        seen: WorkloadStatus | None = None,
        also: Callable[[Tx, Deploy], None] = lambda _tx, _: None,
    ) -> None:
        """Write down how the deploy ended; see `DeployRecord.end`."""
        await self._record.end(status, reason, seen, also)
        self._services.counters.count("tagboat_deploys_total", status=status.value)

    async def take_back(self, reason: str) -> None:
        """Lead traffic back, remove the new container, and end the deploy."""
        context = await self._record.context()
        status = _ended(context.deploy)
        tell = log.warning if status is DeployStatus.FAILED else log.info
        tell(
            f"deploy {status.value}",
            action="take back",
            project=context.project.name,
            tag=context.deploy.tag,
            reason=reason,
        )
        if context.own is not None and context.own.state is InstanceState.LIVE:
            await self.end(
                status,
                f"{context.deploy.tag} is live, but the old instance could not be retired: {reason}",
            )
            return
        trouble = await self._swap_back(context) if context.deploy.made_way else []
        try:
            await self._patiently(
                StepName.SWITCH,
                partial(self._services.traffic.apply_stage_routes, context.stage.id),
            )
        except DeployFailedError as error:
            # What might still be sent requests is left running, for the sweep that comes once traffic is known to be led.
            trouble.append(f"traffic could not be led: {error}")
        else:
            await self._remove_own(context)
        await self.end(status, "; ".join((reason, *trouble)))

    async def park(self, context: DeployContext) -> None:
        """Give the deploy up for now. Where the old instance was stopped for the new one, it serves again meanwhile.

        The new one is given `PARK_STOP_S` seconds to stop, since the two cannot run at once.
        """
        serves = context.own is not None and context.own.state is InstanceState.LIVE
        if context.deploy.made_way and not serves:
            await self._make_way_back(context)
            await self._services.store.write(partial(_requeue, context))
            await self._services.traffic.apply_stage_routes(context.stage.id)
            return
        if context.deploy.made_way:
            await self._services.traffic.apply_stage_routes(
                context.stage.id
            )  # the new one is live on record, but who asks for it may still be waiting
        await self._record.change(claimed_by=None, claimed_until=None)

    async def see_stopped(self, instance: Instance) -> None:
        """Return once an instance is stopped whose stop was broken off: it may be started again then.

        The engine goes on with a stop whose caller has left; what was started meanwhile would end with it. Where the server
        itself has to stop, the app has `HURRY_S` seconds left, so that it serves again while the server is down.
        """
        with contextlib.suppress(TagboatError, ClaimLostError):
            cancelling = (await self._record.context()).deploy.cancelling
            await self._runtime.stop(instance.handle, None if cancelling else HURRY_S)

    async def _make_way_back(self, context: DeployContext) -> None:
        for container in await self._containers.those_of(context.deploy.id, INSTANCE):
            try:
                async with asyncio.timeout(PARK_STOP_S):
                    await self._runtime.stop(container.id)
            except TimeoutError:
                pass
            if context.deploy.failed_step is not None:
                await self._record.keep_log(
                    "\n".join(await last_words(self._runtime, container.id))
                )
            await self._runtime.remove(container.id)
        for instance in context.replaced:
            await self._runtime.start(instance.handle)

    async def _remove_own(self, context: DeployContext) -> None:
        """Remove the new instance, once it has answered what it was sent while it was live."""
        made = await self._record.made_live()
        if made is not None and self._services.traffic.active:
            async with self._services.places.rest():
                await self._services.traffic.drained([made], context.stage.drain_timeout_s)
        await self._containers.discard(context, self._record.keep_log)

    async def _swap_back(self, context: DeployContext) -> list[str]:
        """Put the old instance of an app that cannot run twice back in the place of the new one; what went wrong."""
        try:
            await self._services.traffic.apply_stage_routes(
                context.stage.id
            )  # who asks waits until the old one is back
        except (IngressError, InvalidValueError) as error:
            log.warning("traffic not held", action="undo", reason=str(error))
        await self._remove_own(context)
        return await self._restart_old(context)

    async def _restart_old(self, context: DeployContext) -> list[str]:
        """Start again what was stopped to make way; what went wrong."""
        trouble = []
        for instance in context.replaced:
            try:
                await self._revive(instance, context)
            except TagboatError as error:
                trouble.append(f"{instance.container} did not come back: {error}")
            # Live all the same: it is what serves the stage, and whoever looks after live instances will go on trying.
            await self._record.change_instances([instance], state=InstanceState.LIVE)
        return trouble

    async def _revive(self, instance: Instance, context: DeployContext) -> None:
        config = await self._record.config_of(instance) or context.config
        await self._patiently(StepName.START, partial(self._runtime.start, instance.handle))
        async with self._services.places.rest():
            await Health(self._services, context, instance, config).until_healthy()


def _ended(deploy: Deploy) -> DeployStatus:
    if deploy.cancelling:
        return DeployStatus.CANCELLED
    return DeployStatus.SUPERSEDED if deploy.reason is not None else DeployStatus.FAILED


def _requeue(context: DeployContext, tx: Tx) -> None:
    """Let what was stopped serve again, and the deploy begin anew where it is claimed next; one that failed is taken back."""
    for instance in context.replaced:
        tx.put_instance(replace(tx.instance(instance.id), state=InstanceState.LIVE))
    deploy = replace(tx.deploy(context.deploy.id), claimed_by=None, claimed_until=None)
    if deploy.failed_step is None:
        deploy = replace(deploy, status=DeployStatus.QUEUED, made_way=False, replaced=())
    tx.put_deploy(deploy)
    tx.announce(Topic.DEPLOYS)
