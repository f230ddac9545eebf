"""The end of an instance that serves no more."""

from tagboat.core.deploy import Instance, InstanceState
from tagboat.deploy.containers import Parts
from tagboat.deploy.endings import ended
from tagboat.deploy.names import drop_names


async def retire(parts: Parts, instance: Instance) -> None:
    """Stop and remove the container of a draining instance, and write that down."""
    await drop_names(parts, instance)
    await parts.engine.stop(instance.handle)
    await parts.engine.remove(instance.handle)
    await parts.store.write(
        lambda tx: tx.put_instance(ended(tx, instance, InstanceState.STOPPED, parts.clock()))
    )
