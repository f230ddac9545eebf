"""Logins of services: nodes pull with them when a task comes to another node, long afterwards."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tagboat.core.catalog import Registry
from tagboat.core.errors import EngineDeniedError, TagboatError
from tagboat.core.registry_logins import RegistryLogins
from tagboat.runtime.docker import image_wire
from tagboat.runtime.docker.wire import Json
from tagboat.runtime.swarm.image_source import ImageSource, reference_of
from tagboat.runtime.swarm.service_wire import LOGIN_LABEL
from tagboat.runtime.swarm.services import SwarmServices


async def renew_logins(
    services: SwarmServices, source: ImageSource, logins: RegistryLogins, labels: Mapping[str, str]
) -> None:
    """Give each service with these labels the login of its registry as it is now.

    A failure of one does not stop the others; the last one is raised at the end.
    """

    def note(spec: dict[str, Any]) -> bool:
        # Labels of the service alone start no new task.
        spec["Labels"][LOGIN_LABEL] = datetime.now(UTC).isoformat()
        return True

    async def renew(service: Json) -> None:
        image = reference_of(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]).name

        async def renew_as(known: Registry | None) -> None:
            if auth := image_wire.registry_auth(image, known):
                await services.change(service["ID"], note, auth)

        registry = await source.registry_of(image)
        if registry is not None:
            await logins.use(registry, renew_as, EngineDeniedError, str(image))

    failure: TagboatError | None = None
    for service in await services.labelled(labels):
        try:
            await renew(service)
        except TagboatError as error:
            failure = error
    if failure is not None:
        raise failure
