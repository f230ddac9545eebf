"""Which engines the server uses. The code of a swarm is loaded only once one is asked for."""

from typing import TYPE_CHECKING

from tagboat.core.catalog import Registry
from tagboat.core.errors import RegistryNotFoundError
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.ports import Reader, Store, TagSource
from tagboat.core.registry_logins import RegistryLogins
from tagboat.core.run import EngineKind
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.runtime.docker.own_container import own_container
from tagboat.runtime.engines import Engines
from tagboat.settings import Settings

if TYPE_CHECKING:
    from tagboat.runtime.swarm.runtime import SwarmRuntime


def choose_engine(
    settings: Settings, source: "RegistrySource", logins: RegistryLogins
) -> "Engines | SwarmRuntime":
    """Return the engine that the settings name; it is not connected yet.

    Next to one Docker engine is the swarm that it manages, for stages that ask for that.
    """
    docker = settings.docker

    def swarm() -> "SwarmRuntime":
        from tagboat.runtime.docker.address import parse_engine_address  # noqa: PLC0415 - see above
        from tagboat.runtime.swarm.managers import SwarmManagers  # noqa: PLC0415
        from tagboat.runtime.swarm.runtime import SwarmRuntime  # noqa: PLC0415

        addresses = [
            parse_engine_address(url, cert_path=docker.cert_path, tls_verify=docker.tls_verify)
            for url in (docker.url, *docker.others)
        ]
        return SwarmRuntime(SwarmManagers(addresses), source, logins=logins)

    if settings.engine is EngineKind.SWARM:
        return swarm()
    one = DockerRuntime(
        docker.url,
        cert_path=docker.cert_path,
        tls_verify=docker.tls_verify,
        network_pool=settings.network_pool,
        own_container=own_container(),
        logins=logins,
    )
    return Engines(one, swarm)


class RegistrySource:
    """Implements the swarm's `ImageSource` by the record and the client of registries.

    Without these, as for a command that runs while there is no server, it knows nothing.
    """

    def __init__(self, store: Store | None = None, tags: TagSource | None = None) -> None:
        self._store = store
        self._tags = tags

    async def registry_of(self, image: ImageName) -> Registry | None:
        """Return the registry of the project with this image, else that of the image's host."""

        def read(reader: Reader) -> Registry | None:
            project = reader.project_by_image(image)
            return reader.registry_of(project) if project else reader.registry_for_host(image.host)

        return await self._store.read(read) if self._store else None

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """Return the configuration of an image. Raises RegistryError."""
        if self._tags is None:
            raise RegistryNotFoundError(f"no registry is asked for {image}")
        return await self._tags.inspect(image, registry)
