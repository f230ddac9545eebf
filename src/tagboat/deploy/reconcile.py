"""What the database says, compared with what runs: at the start, every minute, and when a container ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.catalog import Stage
from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.ports import Reader, Tx
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.drains import Drains
from tagboat.deploy.instances import ended as at_its_end
from tagboat.deploy.ownership import INSTANCE, made_here, own_labels, role_of
from tagboat.deploy.revival import made_by, revive
from tagboat.deploy.services import DeployServices
from tagboat.deploy.vitals import look_after
from tagboat.loops import keep_going

SWEEP_EVERY_S = 60.0
RETRY_S = 5.0
BREATH_S = 1.0
"""Seconds between two sweeps at least: a deploy ends several containers."""

log = structlog.get_logger("tagboat.reconcile")


async def run_reconciler(services: DeployServices) -> None:
    """Sweep at once, every minute and when a container has ended, sooner again after a failure; until cancelled."""
    ended = asyncio.Event()
    listening = asyncio.create_task(keep_going("listen", partial(_listen, services, ended)))
    drains = Drains(services)
    try:
        while True:
            ended.clear()
            pause = SWEEP_EVERY_S
            try:
                await _sweep(services, drains)
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


async def _listen(services: DeployServices, ended: asyncio.Event) -> None:
    """Set `ended` for every container that ends, and after a time without the engine's news."""
    while True:
        try:
            async with contextlib.aclosing(
                services.runtime.watch_exits(own_labels(services.installation))
            ) as names:
                async for _ in names:
                    ended.set()
        except EngineError as error:
            log.info("cannot follow engine events", action="listen", reason=str(error))
        ended.set()
        await asyncio.sleep(RETRY_S)


async def reconcile(services: DeployServices) -> None:
    """Make what runs what the records say, and return once what drains is retired, too.

    What is live is started again where it does not run, and made again where it is gone; this installation's containers that
    no record knows are removed, as is what finished deploys left draining or starting, and what has outlived its stage's
    `ttl_h`. Raises EngineError, IngressError or StoreUnavailableError; one chore that fails keeps no other from being done.
    """
    drains = Drains(services)
    try:
        await _sweep(services, drains)
        await drains.finished()
    finally:
        await drains.close()


async def _sweep(services: DeployServices, drains: Drains) -> None:
    """Sweep once, and leave what drains to `drains`."""
    if await services.store.read(partial(_expired, services)):
        await services.store.write(partial(_expire, services))
    containers = await services.runtime.list_workloads(own_labels(services.installation))
    # Read after the listing: a container is put on record before it is made, so whatever was listed is known by now.
    records = await services.store.read(_read_records)
    # A runtime that heals itself starts again what has ended: only what is gone is made again.
    looked_after = {
        key
        for one in containers
        if one.running or one.restarting or services.runtime.self_healing
        for key in (one.id, one.name)
    }
    # Without an id on record it was launched by a server that died before it wrote down where.
    revivals = [
        partial(revive, services, one)
        for one in records.live
        if one.handle not in looked_after or not one.container_id
    ]
    failures = await _do_all(revivals)
    removals = [
        *(partial(_remove_orphan, services, one) for one in containers if not records.knows(one)),
        *(partial(_give_up, services, one) for one in records.given_up),
    ]
    if revivals or removals or records.drained:
        # What was revived may be at another port, and nothing is removed before traffic is known to be led elsewhere.
        await services.traffic.apply_routes()
    failures += await _do_all(removals)
    for one in records.drained:
        drains.begin(one, records.stages[one.stage_id].drain_timeout_s)
    await look_after(services, records.live, containers)
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


async def _remove_orphan(services: DeployServices, container: WorkloadStatus) -> None:
    """Remove what a deploy of this installation has made and left behind; labels alone do not make it so."""
    if await services.store.read(lambda reader: made_here(reader, container)):
        await services.runtime.remove(container.id)
        log.info("orphan removed", action="sweep", container=container.name)


async def _give_up(services: DeployServices, instance: Instance) -> None:
    """Remove the container of an instance whose deploy was withdrawn before it was live."""
    for container in await made_by(services, instance.deploy_id):
        await services.runtime.remove(container.id)
    await services.store.write(
        lambda tx: tx.put_instance(at_its_end(tx, instance, InstanceState.FAILED, services.clock()))
    )


def _expire(services: DeployServices, tx: Tx) -> None:
    """Lead traffic away from what has outlived its stage's `ttl_h`."""
    for instance in _expired(services, tx):
        tx.put_instance(replace(instance, state=InstanceState.DRAINING))


def _expired(services: DeployServices, reader: Reader) -> list[Instance]:
    now = services.clock()
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

    def knows(self, container: WorkloadStatus) -> bool:
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
