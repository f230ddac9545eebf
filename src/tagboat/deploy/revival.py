"""Reviving live instances: their workloads are started again, or made again as they were."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.errors import ConflictError, EndpointTakenError, NetworkNotFoundError
from tagboat.core.host_access import parse_published
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.context import read_context
from tagboat.deploy.images import ensure_image
from tagboat.deploy.log_words import words_about
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.options import unless_published, with_host_paths
from tagboat.deploy.ownership import INSTANCE, made_here, own_labels, role_of
from tagboat.deploy.services import DeployServices
from tagboat.deploy.specs import instance_spec
from tagboat.deploy.storage import keep_storage, with_storage

log = structlog.get_logger("tagboat.reconcile")


async def revive(services: DeployServices, instance: Instance) -> None:
    """Start a live instance again, or make its workload again as it was."""
    status = await services.runtime.status(instance.handle)
    current = await services.store.read(lambda reader: reader.instance(instance.id))
    runs = status is not None and (status.running or status.restarting)
    if (
        current.state is not InstanceState.LIVE
        or await reach_again(services, instance, status)
        or (runs and current.container_id)
    ):
        return  # that is all, or it was otherwise when the workloads were listed
    if not runs:
        words = await words_about(services.store, instance) | {"container": instance.container}
        log.warning("a live container does not run; starting it", action="revive", **words)
    if status is None or not current.container_id:
        # A death may have come between its launch and the record of that: then it exists already.
        current = await _change(services, current, container_id="")
        found = await made_by(services, current.deploy_id)
        for own in (one for one in found if role_of(one) == INSTANCE):
            current = await _change(services, current, container_id=own.id, endpoints=own.endpoints)
    try:
        if current.container_id:
            try:
                await services.runtime.start(current.handle)
            except NetworkNotFoundError:
                # Somebody has removed the project's network.
                context = await services.store.read(
                    lambda reader: read_context(reader, current.deploy_id)
                )
                runtime = await services.runtime.on(context.config.engine)
                await ensure_project_network(runtime, services.installation, context.project)
                names = context.aliases[context.network]
                await services.runtime.rejoin(current.handle, context.network, names)
                await services.runtime.start(current.handle)
        else:
            await _make_again(services, current)
    except EndpointTakenError as error:
        context = await services.store.read(lambda reader: read_context(reader, current.deploy_id))
        unless_published(str(error), context.config)
        if not current.container_id:
            raise
        # Its endpoint is part of the container, which makes way for another. The data that is only
        # in volumes of this container is kept by taking them over first.
        status = await services.runtime.status(current.handle)
        _, storage = await with_storage(services.runtime, context, status)
        if storage.adopted:
            await services.store.write(partial(keep_storage, current.stage_id, storage))
        await services.runtime.remove(current.handle)
        await _make_again(services, await _change(services, current, container_id=""))


async def reach_again(
    services: DeployServices, instance: Instance, status: WorkloadStatus | None
) -> bool:
    """Replace the tasks of a live instance if none can be reached; return whether it was so.

    While others of its tasks are reached, those answer requests, and stay.
    """
    if status is None or not status.out_of_reach:
        return False
    words = await words_about(services.store, instance) | {"container": instance.container}
    log.warning("its tasks cannot be reached; replacing them", action="revive", **words)
    await services.runtime.replace_tasks(status.id)
    return True


def found_elsewhere(
    live: Iterable[Instance], workloads: Iterable[WorkloadStatus]
) -> list[tuple[Instance, WorkloadStatus]]:
    """Return the live instances that do not have the port on record, each with its workload.

    A server that was cut off between a launch and its record may leave such a one.
    """
    running = {one.id: one for one in workloads if one.running and one.host_ports}
    made = (one for one in live if one.container_id in running and not one.adopted)
    return [
        (one, running[one.container_id])
        for one in made
        if any(at.port not in running[one.container_id].host_ports for at in one.endpoints)
    ]


async def mend_endpoint(
    services: DeployServices, instance: Instance, workload: WorkloadStatus
) -> None:
    """Record where a live instance is reached, as its running workload says."""
    config = await services.store.read(lambda reader: reader.deploy_config(instance.deploy_id))
    published = config.options.publish if config is not None else ()
    own = workload.host_ports - {parse_published(one).host_port for one in published}
    endpoint = loopback_endpoint(next(iter(own), 0)) if len(own) == 1 else None
    endpoints = (endpoint,) if endpoint else workload.endpoints
    words = await words_about(services.store, instance) | {"container": instance.container}
    said = {
        "recorded": [str(one) for one in instance.endpoints],
        "found": [str(one) for one in endpoints],
    }
    log.warning("a container answers elsewhere than on record", action="mend", **words, **said)
    await _change(services, instance, endpoints=endpoints)


async def start_theirs(services: DeployServices, instance: Instance) -> None:
    """Start a container that a person made and a deploy had stopped; never make it again."""
    status = await services.runtime.status(instance.handle)
    if status is not None and not (status.running or status.restarting):
        words = await words_about(services.store, instance) | {"container": instance.container}
        log.warning("a live container does not run; starting it", action="revive", **words)
        await services.runtime.start(instance.handle)


async def made_by(services: DeployServices, deploy_id: str) -> list[WorkloadStatus]:
    """Return the workloads that the deploy has made and that exist."""
    labels = own_labels(services.installation) | {"tagboat.deploy": deploy_id}
    found = await services.runtime.list_workloads(labels)
    return await services.store.read(
        lambda reader: [one for one in found if made_here(reader, one)]
    )


async def _make_again(services: DeployServices, instance: Instance) -> None:
    """Launch it as it was, at its endpoint if that is free; its image may have been removed."""
    context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))
    image = instance.image or context.project.image
    engine = context.config.engine
    await ensure_image(services, image, instance.digest, context.registry, engine)
    deploy = replace(context.deploy, image=image, digest=instance.digest)
    as_it_was, _ = await with_storage(
        services.runtime, replace(context, own=instance, deploy=deploy)
    )
    spec = instance_spec(as_it_was, instance, services.installation)
    runtime = await services.runtime.on(engine)
    await ensure_project_network(runtime, services.installation, context.project)
    taken = await services.store.read(lambda reader: reader.active_endpoints())
    launched = await runtime.launch(with_host_paths(spec, services.host_path), taken)
    await _change(services, instance, container_id=launched.id, endpoints=launched.endpoints)


async def _change(
    services: DeployServices,
    instance: Instance,
    **changes: Any,  # noqa: ANN401 - any field
) -> Instance:
    def change(tx: Tx) -> bool:
        current = tx.instance(instance.id)
        # Nothing is written over what another has recorded since it was read.
        same = (current.container_id, current.endpoints) == (
            instance.container_id,
            instance.endpoints,
        )
        return same and tx.put_instance(replace(current, **changes), was=[InstanceState.LIVE])

    if not await services.store.write(change):
        raise ConflictError(f"{instance.container} was changed by another since it was looked at")
    return replace(instance, **changes)
