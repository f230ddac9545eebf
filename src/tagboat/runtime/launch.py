"""Starting workloads at a free port of the loopback address, and having their images."""

from collections.abc import Callable, Collection
from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.endpoint import Endpoint, loopback_endpoint
from tagboat.core.errors import EndpointTakenError, EngineError
from tagboat.core.host_access import published_port_in
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.runtime import BeforePull, BeforeStart
from tagboat.core.values import replace
from tagboat.core.workload import Launched, WorkloadSpec

# Each try costs a container that is created and removed.
PORT_TRIES = 20

FreePort = Callable[[Collection[int]], int]
"""Chooses a port of the loopback address that is not among those given. Raises EngineError."""


class Launcher(Protocol):
    """The calls of a runtime from which a launch is made."""

    async def create(self, spec: WorkloadSpec) -> str: ...
    async def start(self, workload: str) -> None: ...
    async def remove(self, workload: str) -> None: ...


class ImagePuller(Protocol):
    """The calls of a runtime by which it comes to have an image."""

    async def inspect_image(self, image: str) -> ImageInfo | None: ...
    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        progress: Callable[[str], None],
    ) -> ImageInfo: ...


async def launch_at_free_port(
    launcher: Launcher,
    spec: WorkloadSpec,
    taken: Collection[Endpoint],
    free_port: FreePort,
    before_start: BeforeStart | None = None,
) -> Launched:
    """Create and start a workload: at its own endpoint, else at a port that nobody has.

    Raises EngineError after `PORT_TRIES` ports that another program was quicker to take.
    """
    avoided = {endpoint.port for endpoint in taken}
    wanted = spec.endpoint
    for _ in range(PORT_TRIES):
        endpoint = (wanted or loopback_endpoint(free_port(avoided))) if spec.port else None
        workload = await launcher.create(replace(spec, endpoint=endpoint))
        try:
            if before_start is not None:
                await before_start()
            # By the name it was given a moment ago: people know it from error messages.
            await launcher.start(spec.name)
        except EndpointTakenError as error:
            await launcher.remove(workload)
            if published_port_in(str(error), [str(one) for one in spec.publish]) is not None:
                raise  # a person asked for that port: another one would not do
            avoided |= {endpoint.port} if endpoint else set()
            wanted = None
        except EngineError:
            raise
        except Exception:
            # It may not be started: nobody else knows of it yet.
            await launcher.remove(workload)
            raise
        else:
            return Launched(workload, (endpoint,) if endpoint else ())
    raise EngineError(f"found no free loopback port for the new container in {PORT_TRIES} tries")


async def ensure_pulled(
    puller: ImagePuller,
    image: ImageName,
    digest: Digest,
    registry: Registry | None,
    before_pull: BeforePull,
    progress: Callable[[str], None],
) -> ImageInfo:
    """Pull an image unless it is there, and return its description."""
    info = await puller.inspect_image(f"{image}@{digest}")
    if info is None:
        await before_pull()
        info = await puller.pull(image, digest, registry, progress)
    return info
