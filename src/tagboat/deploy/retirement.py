"""Retiring an instance that serves no more."""

from tagboat.core.deploy import Instance, InstanceState
from tagboat.deploy.instances import ended
from tagboat.deploy.names import drop_names
from tagboat.deploy.services import DeployServices


async def end_container(services: DeployServices, instance: Instance) -> None:
    """Stop and remove the container of an instance; one that a person made stays, stopped."""
    if instance.adopted:
        await services.runtime.set_aside(instance.handle)
        return
    await drop_names(services, instance)
    await services.runtime.stop(instance.handle)
    await services.runtime.remove(instance.handle)


async def retire(services: DeployServices, instance: Instance) -> None:
    """End the container of a draining instance, and record that."""
    await end_container(services, instance)
    # Last: after a death before this, it still drains on record, and is retired again.
    await services.store.write(
        lambda tx: tx.put_instance(ended(tx, instance, InstanceState.STOPPED, services.clock()))
    )
