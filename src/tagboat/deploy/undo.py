"""Taking back what a deploy has begun: who served before serves again, and nothing of the new one stays.

Why a deploy failed, and who serves from then on, is on record before any of this is called; all of it can be done again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from tagboat.core.catalog import Stage
from tagboat.core.deploy import (
    ContainerStatus,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
)
from tagboat.core.errors import DeployFailedError, IngressError, InvalidValueError, TagboatError
from tagboat.core.ports import Topic, Tx
from tagboat.deploy.containers import Containers, Parts, last_words
from tagboat.deploy.health import Health
from tagboat.deploy.journal import Journal, TakenOverError
from tagboat.deploy.ownership import INSTANCE
from tagboat.deploy.scene import Scene

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
        self, parts: Parts, journal: Journal, containers: Containers, patiently: Patience
    ) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = journal
        self._containers = containers
        self._patiently = patiently

    async def end(
        self,
        status: DeployStatus,
        reason: str,
        seen: ContainerStatus | None = None,
        also: Callable[[Tx, Deploy], None] = lambda _tx, _: None,
    ) -> None:
        """Write down how the deploy ended; see `Journal.end`."""
        await self._journal.end(status, reason, seen, also)
        self._parts.counters.count("tagboat_deploys_total", status=status.value)

    async def take_back(self, reason: str) -> None:
        """Lead traffic back, remove the new container, and end the deploy."""
        scene = await self._journal.scene()
        status = _ended(scene.deploy)
        tell = log.warning if status is DeployStatus.FAILED else log.info
        tell(
            f"deploy {status.value}",
            action="take back",
            project=scene.project.name,
            tag=scene.deploy.tag,
            reason=reason,
        )
        if scene.own is not None and scene.own.state is InstanceState.LIVE:
            await self.end(
                status,
                f"{scene.deploy.tag} is live, but the old instance could not be retired: {reason}",
            )
            return
        trouble = await self._swap_back(scene) if scene.deploy.made_way else []
        try:
            await self._patiently(StepName.SWITCH, partial(self._lead, scene.stage))
        except DeployFailedError as error:
            # What might still be sent requests is left running, for the sweep that comes once traffic is known to be led.
            trouble.append(f"traffic could not be led: {error}")
        else:
            await self._remove_own(scene)
        await self.end(status, "; ".join((reason, *trouble)))

    async def park(self, scene: Scene) -> None:
        """Give the deploy up for now. Where the old instance was stopped for the new one, it serves again meanwhile.

        The new one is given `PARK_STOP_S` seconds to stop, since the two cannot run at once.
        """
        serves = scene.own is not None and scene.own.state is InstanceState.LIVE
        if scene.deploy.made_way and not serves:
            await self._make_way_back(scene)
            await self._parts.store.write(partial(_requeue, scene))
            await self._lead(scene.stage)
            return
        if scene.deploy.made_way:
            await self._lead(
                scene.stage
            )  # the new one is live on record, but who asks for it may still be waiting
        await self._journal.change(claimed_by=None, claimed_until=None)

    async def see_stopped(self, instance: Instance) -> None:
        """Return once an instance is stopped whose stop was broken off: it may be started again then.

        The engine goes on with a stop whose caller has left; what was started meanwhile would end with it. Where the server
        itself has to stop, the app has `HURRY_S` seconds left, so that it serves again while the server is down.
        """
        with contextlib.suppress(TagboatError, TakenOverError):
            cancelling = (await self._journal.scene()).deploy.cancelling
            await self._engine.stop(instance.handle, None if cancelling else HURRY_S)

    async def _make_way_back(self, scene: Scene) -> None:
        for container in await self._containers.those_of(scene.deploy.id, INSTANCE):
            try:
                async with asyncio.timeout(PARK_STOP_S):
                    await self._engine.stop(container.id)
            except TimeoutError:
                pass
            if scene.deploy.failed_step is not None:
                await self._journal.keep_log(
                    "\n".join(await last_words(self._engine, container.id))
                )
            await self._engine.remove(container.id)
        for instance in scene.replaced:
            await self._engine.start(instance.handle)

    async def _remove_own(self, scene: Scene) -> None:
        """Remove the new instance, once it has answered what it was sent while it was live."""
        made = await self._journal.made_live()
        if made is not None and self._parts.traffic is not None:
            async with self._parts.places.rest():
                await self._parts.traffic.drained([made], scene.stage.drain_timeout_s)
        await self._containers.discard(scene, self._journal.keep_log)

    async def _swap_back(self, scene: Scene) -> list[str]:
        """Put the old instance of an app that cannot run twice back in the place of the new one; what went wrong."""
        try:
            await self._lead(scene.stage)  # who asks waits until the old one is back
        except (IngressError, InvalidValueError) as error:
            log.warning("traffic not held", action="undo", reason=str(error))
        await self._remove_own(scene)
        return await self._restart_old(scene)

    async def _restart_old(self, scene: Scene) -> list[str]:
        """Start again what was stopped to make way; what went wrong."""
        trouble = []
        for instance in scene.replaced:
            try:
                await self._revive(instance, scene)
            except TagboatError as error:
                trouble.append(f"{instance.container} did not come back: {error}")
            # Live all the same: it is what serves the stage, and whoever looks after live instances will go on trying.
            await self._journal.change_instances([instance], state=InstanceState.LIVE)
        return trouble

    async def _revive(self, instance: Instance, scene: Scene) -> None:
        config = await self._journal.config_of(instance) or scene.config
        await self._patiently(StepName.START, partial(self._engine.start, instance.handle))
        async with self._parts.places.rest():
            await Health(self._parts, scene, instance, config).until_healthy()

    async def _lead(self, stage: Stage) -> None:
        if self._parts.traffic is not None:
            await self._parts.traffic.lead_stage(stage.id)


def _ended(deploy: Deploy) -> DeployStatus:
    if deploy.cancelling:
        return DeployStatus.CANCELLED
    return DeployStatus.SUPERSEDED if deploy.reason is not None else DeployStatus.FAILED


def _requeue(scene: Scene, tx: Tx) -> None:
    """Let what was stopped serve again, and the deploy begin anew where it is claimed next; one that failed is taken back."""
    for instance in scene.replaced:
        tx.put_instance(replace(tx.instance(instance.id), state=InstanceState.LIVE))
    deploy = replace(tx.deploy(scene.deploy.id), claimed_by=None, claimed_until=None)
    if deploy.failed_step is None:
        deploy = replace(deploy, status=DeployStatus.QUEUED, made_way=False, replaced=())
    tx.put_deploy(deploy)
    tx.announce(Topic.DEPLOYS)
