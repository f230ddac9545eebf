"""Reviving live instances: their workloads are started again, or made again as they were."""

from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.errors import EndpointTakenError, NetworkNotFoundError
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
    if current.state is not InstanceState.LIVE or (runs and current.container_id):
        return  # it was otherwise when the workloads were listed
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
                installation, project = services.installation, context.project
                await ensure_project_network(services.runtime, installation, project)
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
    await ensure_image(services, image, instance.digest, context.registry)
    deploy = replace(context.deploy, image=image, digest=instance.digest)
    as_it_was, _ = await with_storage(
        services.runtime, replace(context, own=instance, deploy=deploy)
    )
    spec = instance_spec(as_it_was, instance, services.installation)
    await ensure_project_network(services.runtime, services.installation, context.project)
    active = await services.store.read(lambda reader: reader.instances(states=ACTIVE_STATES))
    launched = await services.runtime.launch(
        with_host_paths(spec, services.host_path),
        {endpoint for one in active for endpoint in one.endpoints},
    )
    await _change(services, instance, container_id=launched.id, endpoints=launched.endpoints)


async def _change(
    services: DeployServices,
    instance: Instance,
    **changes: Any,  # noqa: ANN401 - any field
) -> Instance:
    await services.store.write(
        lambda tx: tx.put_instance(replace(tx.instance(instance.id), **changes))
    )
    return replace(instance, **changes)
