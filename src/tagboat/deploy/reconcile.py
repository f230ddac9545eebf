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
    NetworkNotFoundError,
    PortTakenError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.ports import Reader, Tx
from tagboat.deploy.containers import Parts, instance_spec
from tagboat.deploy.drains import Drains
from tagboat.deploy.endings import ended as at_its_end
from tagboat.deploy.images import ensure_image
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.options import unless_published, with_host_paths
from tagboat.deploy.ownership import INSTANCE, made_here, role_of
from tagboat.deploy.scene import read_scene
from tagboat.deploy.storage import keep_storage, with_storage
from tagboat.deploy.vitals import look_after
from tagboat.loops import keep_going

SWEEP_EVERY_S = 60.0
RETRY_S = 5.0
BREATH_S = 1.0
"""Seconds between two sweeps at least: a deploy ends several containers."""

log = structlog.get_logger("tagboat.reconcile")


async def keep_sweeping(parts: Parts) -> None:
    """Sweep at once, every minute and when a container has ended, sooner again after a failure; until cancelled."""
    ended = asyncio.Event()
    listening = asyncio.create_task(keep_going("listen", partial(_listen, parts, ended)))
    drains = Drains(parts)
    try:
        while True:
            ended.clear()
            pause = SWEEP_EVERY_S
            try:
                await _sweep(parts, drains)
            except TagboatError as error:
                log.warning("reconcile failed", action="sweep", reason=str(error))
                pause = RETRY_S
            await asyncio.sleep(BREATH_S)
            try:
                async with asyncio.timeout(pause):
                    await ended.wait()
            except TimeoutError:
                pass
    finally:
        listening.cancel()
        await drains.close()


async def _listen(parts: Parts, ended: asyncio.Event) -> None:
    """Set `ended` for every container that ends, and after a time without the engine's news."""
    while True:
        try:
            async with contextlib.aclosing(parts.engine.endings(_own_labels(parts))) as names:
                async for _ in names:
                    ended.set()
        except EngineError as error:
            log.info("cannot follow engine events", action="listen", reason=str(error))
        ended.set()
        await asyncio.sleep(RETRY_S)


async def sweep(parts: Parts) -> None:
    """Make what runs what the records say, and return once what drains is retired, too.

    What is live is started again where it does not run, and made again where it is gone; this installation's containers that
    no record knows are removed, as is what finished deploys left draining or starting, and what has outlived its stage's
    `ttl_h`. Raises EngineError, IngressError or StoreUnavailableError; one chore that fails keeps no other from being done.
    """
    drains = Drains(parts)
    try:
        await _sweep(parts, drains)
        await drains.finished()
    finally:
        await drains.close()


async def _sweep(parts: Parts, drains: Drains) -> None:
    """Sweep once, and leave what drains to `drains`."""
    if await parts.store.read(partial(_expired, parts)):
        await parts.store.write(partial(_expire, parts))
    containers = await parts.engine.containers(_own_labels(parts))
    # Read after the listing: a container is put on record before it is made, so whatever was listed is known by now.
    records = await parts.store.read(_read_records)
    running = {
        key for one in containers if one.running or one.restarting for key in (one.id, one.name)
    }
    revivals = [partial(_revive, parts, one) for one in records.live if one.handle not in running]
    failures = await _do_all(revivals)
    removals = [
        *(partial(_remove_orphan, parts, one) for one in containers if not records.knows(one)),
        *(partial(_give_up, parts, one) for one in records.given_up),
    ]
    if parts.traffic is not None and (revivals or removals or records.drained):
        # What was revived may be at another port, and nothing is removed before traffic is known to be led elsewhere.
        await parts.traffic.lead()
    failures += await _do_all(removals)
    for one in records.drained:
        drains.begin(one, records.stages[one.stage_id].drain_timeout_s)
    await look_after(parts, records.live, containers)
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
    if current.state is not InstanceState.LIVE or (
        status is not None and (status.running or status.restarting)
    ):
        return  # it was otherwise when the containers were listed
    log.warning(
        "a live container does not run; starting it", action="revive", container=instance.container
    )
    try:
        if status is None:
            instance = await _make_again(parts, instance)
        await _start(parts, instance)
    except PortTakenError as error:
        await _ready_to_remake(parts, instance, error)
        await parts.engine.remove(instance.handle)
        instance = await _make_again(parts, await _with_another_port(parts, instance))
        await parts.engine.start(instance.handle)


async def _start(parts: Parts, instance: Instance) -> None:
    """Start its container, on a new network where somebody has removed the project's while it did not run."""
    try:
        await parts.engine.start(instance.handle)
    except NetworkNotFoundError:
        scene = await parts.store.read(lambda reader: read_scene(reader, instance.deploy_id))
        await ensure_project_network(parts.engine, parts.installation, scene.project)
        await parts.engine.rejoin(instance.handle, scene.network, scene.aliases[scene.network])
        await parts.engine.start(instance.handle)


async def _with_another_port(parts: Parts, instance: Instance) -> Instance:
    taken = await parts.store.read(
        lambda reader: {one.host_port for one in reader.instances(states=ACTIVE_STATES)}
    )
    return await _change(parts, instance, host_port=parts.free_port(taken))


async def _ready_to_remake(parts: Parts, instance: Instance, error: PortTakenError) -> None:
    """See to it that nothing is lost with its container; raise DeployFailedError where another port would not help."""
    scene = await parts.store.read(lambda reader: read_scene(reader, instance.deploy_id))
    unless_published(str(error), scene.config)
    _, storage = await with_storage(parts.engine, scene, await parts.engine.status(instance.handle))
    if storage.adopted:
        await parts.store.write(partial(keep_storage, instance.stage_id, storage))


async def _make_again(parts: Parts, instance: Instance) -> Instance:
    """Make its container again, as it was, with the image of then, which somebody may have pruned.

    One that was made before a death, and is not on record yet, is it.
    """
    instance = await _change(parts, instance, container_id="")  # that one is gone
    if found := next(
        (one for one in await _made_by(parts, instance.deploy_id) if role_of(one) == INSTANCE), None
    ):
        return await _change(parts, instance, container_id=found.id)
    scene = await parts.store.read(lambda reader: read_scene(reader, instance.deploy_id))
    image = instance.image or scene.project.image
    await ensure_image(parts, image, instance.digest, scene.registry)
    as_it_was = replace(
        scene, own=instance, deploy=replace(scene.deploy, image=image, digest=instance.digest)
    )
    as_it_was, _ = await with_storage(parts.engine, as_it_was)
    spec = instance_spec(as_it_was, instance, parts.installation)
    await ensure_project_network(parts.engine, parts.installation, scene.project)
    container = await parts.engine.create(with_host_paths(spec, parts.host_path))
    return await _change(parts, instance, container_id=container)


async def _made_by(parts: Parts, deploy_id: str) -> list[ContainerStatus]:
    """The containers that the deploy has made, and that are there."""
    found = await parts.engine.containers(_own_labels(parts) | {"tagboat.deploy": deploy_id})
    return await parts.store.read(lambda reader: [one for one in found if made_here(reader, one)])


async def _change(parts: Parts, instance: Instance, **changes: Any) -> Instance:  # noqa: ANN401 - whatever fields there are
    await parts.store.write(
        lambda tx: tx.put_instance(replace(tx.instance(instance.id), **changes))
    )
    return replace(instance, **changes)


async def _remove_orphan(parts: Parts, container: ContainerStatus) -> None:
    """Remove what a deploy of this installation has made and left behind; labels alone do not make it so."""
    if await parts.store.read(lambda reader: made_here(reader, container)):
        await parts.engine.remove(container.id)
        log.info("orphan removed", action="sweep", container=container.name)


async def _give_up(parts: Parts, instance: Instance) -> None:
    """Remove the container of an instance whose deploy was withdrawn before it was live."""
    for container in await _made_by(parts, instance.deploy_id):
        await parts.engine.remove(container.id)
    await parts.store.write(
        lambda tx: tx.put_instance(at_its_end(tx, instance, InstanceState.FAILED, parts.clock()))
    )


def _expire(parts: Parts, tx: Tx) -> None:
    """Lead traffic away from what has outlived its stage's `ttl_h`."""
    for instance in _expired(parts, tx):
        tx.put_instance(replace(instance, state=InstanceState.DRAINING))


def _expired(parts: Parts, reader: Reader) -> list[Instance]:
    now = parts.clock()
    return [
        instance
        for stage in reader.stages_with_ttl()
        for instance in reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])
        if instance.started_at + timedelta(hours=stage.ttl_h or 0) <= now
    ]


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
    draining, starting = (
        _that(active, InstanceState.DRAINING),
        _that(active, InstanceState.STARTING),
    )
    # Of those that wait, there may be thousands, only the few where something changes are of interest.
    waiting = {
        stage_id: reader.open_deploys(stage_id)
        for stage_id in {one.stage_id for one in (*draining, *starting)}
    }
    deploys = {
        deploy.id for some in (reader.running_deploys(), *waiting.values()) for deploy in some
    }
    changing = {
        stage_id for stage_id, some in waiting.items() if any(deploy.begun for deploy in some)
    }
    kept = _kept(active)
    return _Records(
        working=frozenset(deploys),
        serving=frozenset(one.deploy_id for one in active),
        # The deploy that made it looks after it until it has ended.
        live=[
            one
            for one in active
            if one.state is InstanceState.LIVE and one.deploy_id not in deploys
        ],
        drained=[one for one in draining if one.id not in kept and one.stage_id not in changing],
        given_up=[one for one in starting if one.deploy_id not in deploys],
        stages={one.stage_id: reader.stage(one.stage_id) for one in draining},
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
