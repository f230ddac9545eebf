"""Letting go of a stage's names on its networks, before their bearer ends."""

from contextlib import suppress

from tagboat.core.deploy import Instance
from tagboat.core.errors import EngineNotFoundError
from tagboat.deploy.services import DeployServices


async def drop_names(services: DeployServices, instance: Instance) -> None:
    """Let nobody find the instance by name any more, or its callers would be refused for as long as it takes to end.

    It stays on its networks, though its connections there are cut once. One without a port has no callers to spare.
    """
    config = await services.store.read(lambda reader: reader.deploy_config(instance.deploy_id))
    for network in config.options.networks if config is not None and instance.endpoint else ():
        with suppress(
            EngineNotFoundError
        ):  # the container or the network is gone, and the name with it
            await services.runtime.rejoin(instance.handle, network, ())
