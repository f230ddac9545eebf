"""Retiring an instance that serves no more."""

from functools import partial

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.ports import Tx
from tagboat.deploy.context import DeployContext
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


def words_for_retired(context: DeployContext) -> str:
    """Return words for the old instances that were retired, or why there are none."""
    removed = ", ".join(one.container for one in context.retired if not one.adopted)
    stopped = ", ".join(one.container for one in context.retired if one.adopted)
    words = (
        f"retired {removed}" if removed else "",
        f"stopped {stopped}, which is not removed: 'docker rm {stopped}' does that"
        if stopped
        else "",
    )
    return (
        "; ".join(filter(None, words)) or words_for_kept(context) or "there was nothing to retire"
    )


def words_for_kept(context: DeployContext) -> str:
    """Return words for the old instances that stay for now, empty for none."""
    kept = [
        instance.container
        for instance in context.others_that(InstanceState.DRAINING)
        if instance not in context.retired
    ]
    return f"{', '.join(kept)} is kept until something newer has stayed healthy" if kept else ""
