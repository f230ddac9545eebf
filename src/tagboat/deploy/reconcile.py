"""What the database says, compared with what runs: at the start, every minute, and when a container ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.catalog import Stage
from tagboat.core.deploy import ACTIVE_STATES, Deploy, DeployStatus, Instance, InstanceState
from tagboat.core.errors import EngineError, EngineUnavailableError, PortTakenError, StoreUnavailableError, TagboatError
from tagboat.core.ports import Reader, Tx
from tagboat.deploy.containers import Parts, instance_spec, own_container, release_container
from tagboat.deploy.endings import ended as at_its_end
from tagboat.deploy.journal import Scene, read_scene
from tagboat.deploy.pipeline import retire

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
    if await parts.store.read(partial(_expired, parts)):
        await parts.store.write(partial(_expire, parts))
    containers = await parts.engine.containers(_own_labels(parts))
    # Read after the listing: a container is put on record before it is made, so whatever was listed is known by now.
    records = await parts.store.read(_read_records)
    running = {container.name for container in containers if container.running or container.restarting}
    revivals = [partial(_revive, parts, one) for one in records.live if one.container not in running]
    failures = await _do_all(revivals)
    removals = [
        *(partial(_remove_orphan, parts, one.name) for one in containers if one.name not in records.known),
        *(partial(_retire_drained, parts, records, one) for one in records.drained),
        *(partial(_give_up, parts, one) for one in records.given_up),
    ]
    if parts.traffic is not None and (revivals or removals):
        # What was revived may be at another port, and nothing is removed before traffic is known to be led elsewhere.
        await parts.traffic.lead()
    failures += await _do_all(removals)
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
    status = await parts.engine.status(instance.container)
    current = await parts.store.read(lambda reader: reader.instance(instance.id))
    if current.state is not InstanceState.LIVE or (status is not None and (status.running or status.restarting)):
        return  # it was otherwise when the containers were listed
    log.warning("a live container does not run; starting it", action="revive", container=instance.container)
    try:
        if status is None:
            await _make_again(parts, instance)
        await parts.engine.start(instance.container)
    except PortTakenError:
        await parts.engine.remove(instance.container)
        instance = await _with_another_port(parts, instance)
        await _make_again(parts, instance)
        await parts.engine.start(instance.container)


async def _with_another_port(parts: Parts, instance: Instance) -> Instance:
    taken = await parts.store.read(lambda reader: {one.host_port for one in reader.instances(states=ACTIVE_STATES)})
    port = parts.free_port(taken)
    await parts.store.write(lambda tx: tx.put_instance(replace(tx.instance(instance.id), host_port=port)))
    return replace(instance, host_port=port)


async def _make_again(parts: Parts, instance: Instance) -> None:
    scene = await parts.store.read(lambda reader: read_scene(reader, instance.deploy_id))
    await pull_if_gone(parts, scene, instance)
    await parts.engine.create(instance_spec(replace(scene, own=instance), instance, parts.installation))


async def pull_if_gone(parts: Parts, scene: Scene, instance: Instance) -> None:
    """Have the engine hold the instance's image, which somebody may have pruned."""
    if await parts.engine.inspect_image(f"{scene.project.image}@{instance.digest}") is None:
        await parts.engine.pull(scene.project.image, instance.digest, scene.registry, lambda _: None)


async def _remove_orphan(parts: Parts, container: str) -> None:
    await parts.engine.remove(container)
    log.info("orphan removed", action="sweep", container=container)


async def _retire_drained(parts: Parts, records: "_Records", instance: Instance) -> None:
    if parts.traffic is not None:
        await parts.traffic.drained([instance], records.stages[instance.stage_id].drain_timeout_s)
    await retire(parts, instance)


async def _give_up(parts: Parts, instance: Instance) -> None:
    """Remove the container of an instance whose deploy was withdrawn before it was live."""
    await parts.engine.remove(instance.container)
    await parts.store.write(lambda tx: tx.put_instance(at_its_end(tx, instance, InstanceState.FAILED, parts.clock())))


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
    """What is on record: names of all containers that may be there; live instances to be kept running; those to be removed."""

    known: frozenset[str]
    live: list[Instance]
    drained: list[Instance]
    given_up: list[Instance]
    stages: Mapping[str, Stage]


def _read_records(reader: Reader) -> _Records:
    active = reader.instances(states=ACTIVE_STATES)
    # Of those that wait, there may be thousands, only the few where something changes are of interest.
    waiting = {stage_id: reader.open_deploys(stage_id) for stage_id in {one.stage_id for one in active if _changes(one)}}
    deploys = {deploy.id: deploy for some in (reader.running_deploys(), *waiting.values()) for deploy in some}
    draining = [one for one in active if one.state is InstanceState.DRAINING]
    known = {instance.container for instance in active}
    return _Records(
        known=frozenset(known | _containers_at_work(reader, deploys.values())),
        # The deploy that made it looks after it until it has ended.
        live=[one for one in active if one.state is InstanceState.LIVE and one.deploy_id not in deploys],
        drained=[one for one in draining if not waiting[one.stage_id]],
        given_up=[one for one in active if one.state is InstanceState.STARTING and one.deploy_id not in deploys],
        stages={one.stage_id: reader.stage(one.stage_id) for one in draining},
    )


def _changes(instance: Instance) -> bool:
    return instance.state is not InstanceState.LIVE


def _containers_at_work(reader: Reader, deploys: Iterable[Deploy]) -> set[str]:
    """Those of deploys at work: a release command has no instance on record, and one that failed may still answer."""
    own = {own_container(read_scene(reader, one.id)) for one in deploys if one.status is DeployStatus.RUNNING}
    return own | {release_container(container) for container in own}


def _own_labels(parts: Parts) -> dict[str, str]:
    return {"tagboat.managed": "true", "tagboat.installation": parts.installation}
