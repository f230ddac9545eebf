"""Following the endpoints of instances whose tasks a runtime moves by itself."""

from collections.abc import Iterable

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.endpoint import Endpoint
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.log_words import words_about
from tagboat.deploy.services import DeployServices

_MOVABLE = (InstanceState.LIVE, InstanceState.DRAINING)
"""The states in which nobody else follows: the health gate does for one that starts."""

log = structlog.get_logger("tagboat.moves")


async def follow_moves(services: DeployServices, workloads: Iterable[WorkloadStatus]) -> bool:
    """Put on record where the tasks of `workloads` are reached now; return if any has moved.

    An instance without any task keeps the endpoints that it had: others are being started, and
    requests wait for them in the ingress. Does nothing where the runtime moves no tasks.
    """
    movable = [one for one in workloads if one.self_healing and one.endpoints]
    found = {key: one for one in movable for key in (one.id, one.name)}
    if not found:
        return False

    def moved(reader: Reader) -> list[tuple[Instance, tuple[Endpoint, ...]]]:
        return [
            (instance, found[instance.handle].endpoints)
            for instance in reader.instances(states=_MOVABLE)
            if instance.handle in found
            and set(instance.endpoints) != set(found[instance.handle].endpoints)
        ]

    def put(tx: Tx) -> None:
        # Read again: an instance may have ended since.
        for instance, endpoints in moved(tx):
            tx.put_instance(replace(instance, endpoints=endpoints))

    moves = await services.store.read(moved)
    if moves:
        await services.store.write(put)
    for instance, endpoints in moves:
        words = await words_about(services.store, instance)
        log.info("tasks moved", action="follow", endpoints=[str(one) for one in endpoints], **words)
    return bool(moves)
