"""Dropping a stage's names on its networks, before the instance that has them ends."""

from contextlib import suppress

from tagboat.core.deploy import Instance
from tagboat.core.errors import EngineNotFoundError
from tagboat.deploy.services import DeployServices


async def drop_names(services: DeployServices, instance: Instance) -> None:
    """Let nobody find the instance by name any more.

    Otherwise its callers would be refused for as long as it takes to end. It stays on its networks,
    but its connections there are cut once. One that listens on nothing has no callers to spare.
    """
    config = await services.store.read(lambda reader: reader.deploy_config(instance.deploy_id))
    for network in config.options.networks if config is not None and instance.endpoints else ():
        # Where the container or the network is gone, the name is gone as well.
        with suppress(EngineNotFoundError):
            await services.runtime.rejoin(instance.handle, network, ())
