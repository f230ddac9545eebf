"""Reconciling the runtime with the records: at the start, every minute, and on each exit."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.deploy import Instance, InstanceState, made_draining
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.one_off import KEPT_FOR
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.desired import read_desired_state
from tagboat.deploy.drains import Drains
from tagboat.deploy.fence import CLAIM_S, RECONCILE_LEASE, ClaimLostError, Lease, fenced
from tagboat.deploy.instances import ended
from tagboat.deploy.log_words import words_about
from tagboat.deploy.moves import follow_moves
from tagboat.deploy.one_offs import remove_left
from tagboat.deploy.ownership import made_here, own_labels
from tagboat.deploy.revival import found_elsewhere, made_by, mend_endpoint, revive, start_theirs
from tagboat.deploy.services import DeployServices
from tagboat.deploy.vitals import look_after
from tagboat.loops import PeriodicTask, keep_going

RECONCILE_EVERY_S = 60.0
RECONCILE_RETRY_S = 5.0
RECONCILE_MIN_INTERVAL_S = 1.0
"""Seconds between two rounds at least: one deploy ends several containers."""

log = structlog.get_logger("tagboat.reconcile")


async def run_reconciler(services: DeployServices, holder: str) -> None:
    """Reconcile at once, every minute, on each exit and when a stage is stopped; until cancelled.

    After a failure it comes sooner. `holder` names this server: one at a time reconciles.
    """
    lease = Lease(services.store, RECONCILE_LEASE, holder)
    leased = fenced(services, lease)
    drains = Drains(leased)

    async def reconcile_once() -> float:
        try:
            if await lease.acquire():
                return await _reconcile(leased, drains)
        except ClaimLostError:
            log.info("another server reconciles from here on", action="reconcile")
        # It may have died, and left what this one was woken for.
        return CLAIM_S

    async def watch_exits() -> None:
        while True:
            exits = services.runtime.watch_exits(own_labels(services.installation))
            try:
                async with contextlib.aclosing(exits) as names:
                    async for _ in names:
                        task.wake()
            except EngineError as error:
                log.info("cannot follow engine events", action="watch exits", reason=str(error))
            # Containers may have ended while nobody followed.
            task.wake()
            await asyncio.sleep(RECONCILE_RETRY_S)

    task = PeriodicTask(
        reconcile_once,
        retry_s=RECONCILE_RETRY_S,
        warn=partial(log.warning, "reconcile failed", action="reconcile"),
        rest_s=lambda _: RECONCILE_MIN_INTERVAL_S,
    )
    services.store.listen(Topic.DRAINS, task.wake)
    watching = asyncio.create_task(keep_going("watch exits", watch_exits))
    try:
        await task.run()
    finally:
        watching.cancel()
        await drains.close()


async def reconcile(services: DeployServices) -> None:
    """Make the runtime match the records once, and return when draining instances are retired.

    Live instances are started again where they do not run, and made again where they are gone.
    Removed are this installation's workloads that no record knows, instances that finished deploys
    left draining or starting, those that are older than the `ttl_h` of their stage, and one-off
    commands whose server has died. Raises EngineError, IngressError or StoreUnavailableError; a
    failure of one does not stop the others.
    """
    drains = Drains(services)
    try:
        await _reconcile(services, drains)
        await drains.finished()
    finally:
        await drains.close()


async def _reconcile(services: DeployServices, drains: Drains) -> float:
    """Reconcile once, and leave draining instances to `drains`; return seconds until the next."""

    async def remove_orphan(workload: WorkloadStatus) -> None:
        # Labels alone do not prove that a deploy here has left it behind.
        deploy = await services.store.read(
            lambda reader: (
                reader.deploy(workload.labels["tagboat.deploy"])
                if made_here(reader, workload)
                else None
            )
        )
        if deploy is not None:
            await services.runtime.remove(workload.id)
            words = await words_about(services.store, deploy) | {"container": workload.name}
            log.info("orphan removed", action="reconcile", **words)

    async def remove_withdrawn(instance: Instance) -> None:
        for workload in await made_by(services, instance.deploy_id):
            await services.runtime.remove(workload.id)
        await services.store.write(partial(note_withdrawn, services, instance))

    # A read first: usually nothing has expired, and then no writer has to wait.
    if await services.store.read(partial(_expired, services)):
        await services.store.write(partial(expire, services))
    workloads = await services.runtime.list_workloads(own_labels(services.installation))
    # Read after the listing: a workload is on record before it is made, so all of these are known.
    desired = await services.store.read(read_desired_state)
    looked_after = _looked_after(workloads)
    # One without an id was launched by a server that died before it recorded where.
    revivals = [
        partial(start_theirs if one.adopted else revive, services, one)
        for one in desired.live
        if one.id in desired.owed
        or not (one.adopted or (one.handle in looked_after and one.container_id))
    ]
    elsewhere = found_elsewhere(desired.live, workloads)
    revivals += [partial(mend_endpoint, services, *pair) for pair in elsewhere]
    failures = await _do_all(revivals)
    removals = [
        *(partial(remove_orphan, one) for one in workloads if not desired.knows(one)),
        *(partial(remove_withdrawn, one) for one in desired.given_up),
        *(
            partial(remove_left, services.store, services.runtime, one, workloads)
            for one in desired.one_offs
            if one.kept_until < services.clock()
        ),
    ]
    if await follow_moves(services, workloads) or revivals or removals or desired.drained:
        # A revived instance may be at another endpoint; and nothing is removed before it is known
        # that requests go elsewhere.
        await services.traffic.apply_changes()
    failures += await _do_all(removals)
    for one in desired.drained:
        drains.begin(one, desired.stages[one.stage_id].drain_timeout_s)
    await look_after(services, desired.live, workloads)
    if failures:
        raise failures[0]
    # The server that looks after a command may be gone by then.
    return KEPT_FOR.total_seconds() if desired.one_offs else RECONCILE_EVERY_S


def _looked_after(workloads: Iterable[WorkloadStatus]) -> set[str]:
    # A runtime that heals itself starts again what has ended: only what is gone is made again, and
    # what somebody has set to no replicas is started.
    return {
        key
        for one in workloads
        if not one.out_of_reach
        and (one.running or one.restarting or (one.self_healing and one.wanted))
        for key in (one.id, one.name)
    }


async def _do_all(chores: Iterable[Callable[[], Awaitable[None]]]) -> list[TagboatError]:
    """Do one after the other and return the failures.

    Raises at once where the engine or the store is away, since the others would fail as well.
    """
    failures: list[TagboatError] = []
    for chore in chores:
        try:
            await chore()
        except (EngineUnavailableError, StoreUnavailableError):
            raise
        except TagboatError as error:
            failures.append(error)
    return failures


def note_withdrawn(services: DeployServices, instance: Instance, tx: Tx) -> None:
    """Record the end of an instance whose deploy has ended before it was live."""
    failed = ended(tx, instance, InstanceState.FAILED, services.clock())
    tx.put_instance(failed, was=[InstanceState.STARTING])


def expire(services: DeployServices, tx: Tx) -> None:
    """Let the instances drain that are older than the `ttl_h` of their stage."""
    for instance in _expired(services, tx):
        tx.put_instance(made_draining(instance, services.clock()))


def _expired(services: DeployServices, reader: Reader) -> list[Instance]:
    now = services.clock()
    return [
        instance
        for stage in reader.stages_with_ttl()
        for instance in reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])
        if instance.started_at + timedelta(hours=stage.ttl_h or 0) <= now
    ]
