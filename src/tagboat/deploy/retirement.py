"""Retiring an instance that serves no more."""

from functools import partial

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.ports import Tx
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
    await services.store.write(partial(note_stopped, services, instance.id))


def note_stopped(services: DeployServices, instance_id: str, tx: Tx) -> None:
    """Record the end of a retired instance."""
    stopped = ended(tx, tx.instance(instance_id), InstanceState.STOPPED, services.clock())
    # One that serves again since a moment ago stays live on record, and is made again as such.
    tx.put_instance(stopped, was=[InstanceState.DRAINING])
