"""What the database says, compared with what runs: at the start, every minute, and when a container ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from tagboat.core.catalog import Stage
from tagboat.core.deploy import ACTIVE_STATES, ContainerStatus, Instance, InstanceState
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    NotFoundError,
    PortTakenError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.lanes import lanes
from tagboat.core.ports import Reader, Tx
from tagboat.deploy.containers import INSTANCE, Parts, instance_spec, release_container, role_of
from tagboat.deploy.images import ensure_image
from tagboat.deploy.pipeline import retire
from tagboat.deploy.scene import read_scene

SWEEP_EVERY_S = 60.0
RETRY_S = 5.0
BREATH_S = 1.0
"""Seconds between two sweeps at least: a deploy ends several containers."""

log = structlog.get_logger("tagboat.reconcile")


async def keep_sweeping(parts: Parts) -> None:
    """Sweep at once, every minute and when a container has ended, sooner again after a failure; until cancelled."""
    ended = asyncio.Event()
    listening = asyncio.create_task(_listen(parts, ended))
    try:
        while True:
            ended.clear()
            pause = SWEEP_EVERY_S
            try:
                await sweep(parts)
            except TagboatError as error:
                log.warning("not swept", action="sweep", reason=str(error))
                pause = RETRY_S
            await asyncio.sleep(BREATH_S)
            try:
                async with asyncio.timeout(pause):
                    await ended.wait()
            except TimeoutError:
                pass
    finally:
        listening.cancel()


async def _listen(parts: Parts, ended: asyncio.Event) -> None:
    """Set `ended` for every container that ends, and after a time without the engine's news."""
    while True:
        try:
            async with contextlib.aclosing(parts.engine.endings(_own_labels(parts))) as names:
                async for _ in names:
                    ended.set()
        except EngineError as error:
            log.info("the engine tells no news", action="listen", reason=str(error))
        ended.set()
        await asyncio.sleep(RETRY_S)


async def sweep(parts: Parts) -> None:
    """Make what runs what the records say.

    What is live is started again where it does not run, and made again where it is gone; this installation's containers that
    no record knows are removed, as is what finished deploys left draining or starting, and what has outlived its stage's
    `ttl_h`. Raises EngineError, IngressError or StoreUnavailableError; one chore that fails keeps no other from being done.
    """
    await parts.store.write(partial(_expire, parts))
    containers = await parts.engine.containers(_own_labels(parts))
    # Read after the listing: a container is put on record before it is made, so whatever was listed is known by now.
    records = await parts.store.read(_read_records)
    running = {key for one in containers if one.running or one.restarting for key in (one.id, one.name)}
    failures = await _do_all(partial(_revive, parts, one) for one in records.live if one.handle not in running)
    if parts.traffic is not None:
        # Nothing is removed before traffic is known to be led elsewhere.
        await parts.traffic.lead()
    failures += await _do_all(
        [
            *(partial(_remove_orphan, parts, one) for one in containers if not records.knows(one)),
            *(partial(_retire_drained, parts, records, one) for one in records.drained),
            *(partial(_give_up, parts, one) for one in records.given_up),
        ]
    )
    if failures:
        raise failures[0]


async def _do_all(chores: Iterable[Callable[[], Awaitable[None]]]) -> list[TagboatError]:
    """Do one after the other; what failed. A failure that would befall the next ones too is raised at once."""
    failures: list[TagboatError] = []
    for chore in chores:
        try:
            await chore()
        except (EngineUnavailableError, StoreUnavailableError):
            raise
        except TagboatError as error:
            failures.append(error)
    return failures


async def _revive(parts: Parts, instance: Instance) -> None:
    """Start a live instance again, or make its container again as it was."""
    status = await parts.engine.status(instance.handle)
    current = await parts.store.read(lambda reader: reader.instance(instance.id))
    if current.state is not InstanceState.LIVE or (status is not None and (status.running or status.restarting)):
        return  # it was otherwise when the containers were listed
    log.warning("a live container does not run; starting it", action="revive", container=instance.container)
    try:
        if status is None:
            instance = await _make_again(parts, instance)
        await parts.engine.start(instance.handle)
    except PortTakenError:
        await parts.engine.remove(instance.handle)
        instance = await _make_again(parts, await _with_another_port(parts, instance))
        await parts.engine.start(instance.handle)


async def _with_another_port(parts: Parts, instance: Instance) -> Instance:
    taken = await parts.store.read(lambda reader: {one.host_port for one in reader.instances(states=ACTIVE_STATES)})
    return await _change(parts, instance, host_port=parts.free_port(taken))


async def _make_again(parts: Parts, instance: Instance) -> Instance:
    """Make its container again, as it was, with the image of then, which somebody may have pruned.

    One that was made before a death, and is not on record yet, is it.
    """
    own = await parts.engine.containers(_own_labels(parts) | {"tagboat.deploy": instance.deploy_id})
    if found := next((one for one in own if role_of(one) == INSTANCE), None):
        return await _change(parts, instance, container_id=found.id)
    scene = await parts.store.read(lambda reader: read_scene(reader, instance.deploy_id))
    image = instance.image or scene.project.image
    await ensure_image(parts.engine, image, instance.digest, scene.registry)
    as_it_was = replace(scene, own=instance, deploy=replace(scene.deploy, image=image, digest=instance.digest))
    container = await parts.engine.create(instance_spec(as_it_was, instance, parts.installation))
    return await _change(parts, instance, container_id=container)


async def _change(parts: Parts, instance: Instance, **changes: Any) -> Instance:  # noqa: ANN401 - whatever fields there are
    await parts.store.write(lambda tx: tx.put_instance(replace(tx.instance(instance.id), **changes)))
    return replace(instance, **changes)


async def _remove_orphan(parts: Parts, container: ContainerStatus) -> None:
    """Remove what a deploy of this installation has made and left behind; labels alone do not make it so."""
    if await parts.store.read(lambda reader: _made_here(reader, container)):
        await parts.engine.remove(container.id)
        log.info("orphan removed", action="sweep", container=container.name)


def _made_here(reader: Reader, container: ContainerStatus) -> bool:
    """Whether a deploy on record has made it: by the engine's id of it, or, before that was known, by its name."""
    try:
        deploy = reader.deploy(container.labels.get("tagboat.deploy", ""))
    except NotFoundError:
        return False
    made = reader.instance_of(deploy.id)
    ids, names = {deploy.release_id}, {deploy.container, release_container(deploy.container)}
    if made is not None:
        ids, names = {*ids, made.container_id}, {*names, made.container, release_container(made.container)}
    return container.id in ids or container.name in names


async def _retire_drained(parts: Parts, records: "_Records", instance: Instance) -> None:
    if parts.traffic is not None:
        await parts.traffic.drained([instance], records.stages[instance.stage_id].drain_timeout_s)
    await retire(parts, instance)


async def _give_up(parts: Parts, instance: Instance) -> None:
    """Remove the container of an instance whose deploy was withdrawn before it was live."""
    for container in await parts.engine.containers(_own_labels(parts) | {"tagboat.deploy": instance.deploy_id}):
        await parts.engine.remove(container.id)
    failed = replace(instance, state=InstanceState.FAILED, stopped_at=parts.clock())
    await parts.store.write(lambda tx: tx.put_instance(failed))


def _expire(parts: Parts, tx: Tx) -> None:
    """Lead traffic away from what has outlived its stage's `ttl_h`."""
    now = parts.clock()
    for stage in [stage for _, stage in lanes(tx) if stage.ttl_h is not None]:
        for instance in tx.instances(stage_id=stage.id, states=[InstanceState.LIVE]):
            if instance.started_at + timedelta(hours=stage.ttl_h or 0) <= now:
                tx.put_instance(replace(instance, state=InstanceState.DRAINING))


@dataclass(frozen=True, slots=True)
class _Records:
    """What is on record: ids of deploys that work or have an instance; live instances to be kept running; those to go."""

    working: frozenset[str]
    serving: frozenset[str]
    live: list[Instance]
    drained: list[Instance]
    given_up: list[Instance]
    stages: Mapping[str, Stage]

    def knows(self, container: ContainerStatus) -> bool:
        """Whether the container is wanted: one that runs a release command no longer than its deploy works."""
        deploy = container.labels.get("tagboat.deploy", "")
        return deploy in self.working or (deploy in self.serving and role_of(container) == INSTANCE)


def _read_records(reader: Reader) -> _Records:
    active = reader.instances(states=ACTIVE_STATES)
    deploys = {deploy.id: deploy for deploy in reader.all_open_deploys()}
    busy = {deploy.stage_id for deploy in deploys.values() if deploy.begun}
    kept = _kept(active)
    return _Records(
        working=frozenset(deploys),
        serving=frozenset(one.deploy_id for one in active),
        # The deploy that made it looks after it until it has ended.
        live=[one for one in active if one.state is InstanceState.LIVE and one.deploy_id not in deploys],
        drained=[one for one in _that(active, InstanceState.DRAINING) if one.stage_id not in busy and one.id not in kept],
        given_up=[one for one in _that(active, InstanceState.STARTING) if one.deploy_id not in deploys],
        stages={one.stage_id: reader.stage(one.stage_id) for one in active},
    )


def _that(instances: Iterable[Instance], state: InstanceState) -> list[Instance]:
    return [instance for instance in instances if instance.state is state]


def _kept(active: Iterable[Instance]) -> set[str]:
    """The ids of those kept to serve again if what is live sickens: the newest watched one where what is live is not yet."""
    unproven = {one.stage_id for one in _that(active, InstanceState.LIVE) if not one.watched}
    kept: dict[str, str] = {}
    for instance in _that(active, InstanceState.DRAINING):  # newest first
        if instance.watched and instance.stage_id in unproven:
            kept.setdefault(instance.stage_id, instance.id)
    return set(kept.values())


def _own_labels(parts: Parts) -> dict[str, str]:
    return {"tagboat.managed": "true", "tagboat.installation": parts.installation}
