"""What the database says, compared with what runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

import structlog

from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader
from tagboat.deploy.pipeline import Parts, retire

SWEEP_EVERY_S = 60.0
RETRY_S = 5.0

log = structlog.get_logger("tagboat.reconcile")


async def keep_sweeping(parts: Parts) -> None:
    """Sweep at once and every minute, sooner again where the engine or the database could not be asked; until cancelled."""
    while True:
        pause = SWEEP_EVERY_S
        try:
            await sweep(parts)
        except TagboatError as error:
            log.warning("not swept", action="sweep", reason=str(error))
            pause = RETRY_S
        await asyncio.sleep(pause)


async def sweep(parts: Parts) -> None:
    """Remove this installation's containers that no record knows, and what finished deploys left draining or starting.

    Raises EngineError or StoreUnavailableError; one container that cannot be removed keeps no other from it.
    """
    containers = await parts.engine.containers({"tagboat.managed": "true", "tagboat.installation": parts.installation})
    # Read after the listing: a container is put on record before it is made, so whatever was listed is known by now.
    active, drained, given_up = await parts.store.read(_on_record)
    known = {instance.container for instance in active}
    orphans = [container.name for container in containers if container.name not in known]
    await _do_all(
        [
            *(partial(_remove_orphan, parts, container) for container in orphans),
            *(partial(retire, parts, instance) for instance in drained),
            *(partial(_give_up, parts, instance) for instance in given_up),
        ]
    )


async def _do_all(chores: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do one after the other; a failure is raised after the last, or at once where it would befall the next ones too."""
    failures = []
    for chore in chores:
        try:
            await chore()
        except TagboatError as error:
            if error.retryable:
                raise
            failures.append(error)
    if failures:
        raise failures[0]


async def _remove_orphan(parts: Parts, container: str) -> None:
    await parts.engine.remove(container)
    log.info("orphan removed", action="sweep", container=container)


async def _give_up(parts: Parts, instance: Instance) -> None:
    """Remove the container of an instance whose deploy was withdrawn before it was live."""
    await parts.engine.remove(instance.container)
    failed = replace(instance, state=InstanceState.FAILED, stopped_at=parts.clock())
    await parts.store.write(lambda tx: tx.put_instance(failed))


def _on_record(reader: Reader) -> tuple[list[Instance], list[Instance], list[Instance]]:
    """All instances that may have a container; of these, what drains and what starts without a deploy to see to it."""
    active = reader.instances(states=ACTIVE_STATES)
    deploys = reader.all_open_deploys()
    busy = {deploy.stage_id for deploy in deploys}
    drained = [one for one in active if one.state is InstanceState.DRAINING and one.stage_id not in busy]
    at_work = {deploy.id for deploy in deploys}
    given_up = [one for one in active if one.state is InstanceState.STARTING and one.deploy_id not in at_work]
    return active, drained, given_up
