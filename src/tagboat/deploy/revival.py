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
        log.warning(
            "a live container does not run; starting it",
            action="revive",
            container=instance.container,
        )
    if status is None or not current.container_id:
        current = await _found_again(services, current)
    try:
        if not current.container_id:
            await _make_again(services, current)
        else:
            await _start(services, current)
    except EndpointTakenError as error:
        # Made again at another endpoint, so first see to it that no data goes with its container.
        context = await services.store.read(lambda reader: read_context(reader, current.deploy_id))
        unless_published(str(error), context.config)
        if not current.container_id:
            raise
        _, storage = await with_storage(
            services.runtime, context, await services.runtime.status(current.handle)
        )
        if storage.adopted:
            await services.store.write(partial(keep_storage, current.stage_id, storage))
        await services.runtime.remove(current.handle)
        await _make_again(services, await _change(services, current, container_id=""))


async def made_by(services: DeployServices, deploy_id: str) -> list[WorkloadStatus]:
    """Return the workloads that the deploy has made and that exist."""
    found = await services.runtime.list_workloads(
        own_labels(services.installation) | {"tagboat.deploy": deploy_id}
    )
    return await services.store.read(
        lambda reader: [one for one in found if made_here(reader, one)]
    )


async def _found_again(services: DeployServices, instance: Instance) -> Instance:
    """Put on record the workload that was launched before a death, or that there is none."""
    instance = await _change(services, instance, container_id="")
    for found in await made_by(services, instance.deploy_id):
        if role_of(found) == INSTANCE:
            return await _change(services, instance, container_id=found.id, endpoint=found.endpoint)
    return instance


async def _start(services: DeployServices, instance: Instance) -> None:
    """Start its workload, on a new network where somebody has removed the project's while it did not run."""
    try:
        await services.runtime.start(instance.handle)
    except NetworkNotFoundError:
        context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))
        await ensure_project_network(services.runtime, services.installation, context.project)
        await services.runtime.rejoin(
            instance.handle, context.network, context.aliases[context.network]
        )
        await services.runtime.start(instance.handle)


async def _make_again(services: DeployServices, instance: Instance) -> None:
    """Launch it as it was, at its endpoint if that is free, with the image of then, which may have been pruned."""
    context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))
    image = instance.image or context.project.image
    await ensure_image(services, image, instance.digest, context.registry)
    as_it_was = replace(
        context, own=instance, deploy=replace(context.deploy, image=image, digest=instance.digest)
    )
    as_it_was, _ = await with_storage(services.runtime, as_it_was)
    spec = instance_spec(as_it_was, instance, services.installation)
    await ensure_project_network(services.runtime, services.installation, context.project)
    active = await services.store.read(lambda reader: reader.instances(states=ACTIVE_STATES))
    launched = await services.runtime.launch(
        with_host_paths(spec, services.host_path),
        {one.endpoint for one in active if one.endpoint is not None},
    )
    await _change(services, instance, container_id=launched.id, endpoint=launched.endpoint)


async def _change(services: DeployServices, instance: Instance, **changes: Any) -> Instance:  # noqa: ANN401 - whatever fields there are
    await services.store.write(
        lambda tx: tx.put_instance(replace(tx.instance(instance.id), **changes))
    )
    return replace(instance, **changes)
