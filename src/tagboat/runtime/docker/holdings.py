"""The images and volumes of a Docker engine."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Self

from aiodocker import DockerError

from tagboat.core.catalog import Registry
from tagboat.core.errors import EngineDeniedError, EngineMissingError, EngineUnavailableError
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage
from tagboat.core.registry_logins import RegistryLogins
from tagboat.core.run import EngineKind
from tagboat.core.runtime import BeforePull
from tagboat.runtime.docker import image_wire
from tagboat.runtime.docker.connection import (
    ASK_S,
    CHANGE_S,
    DockerConnection,
    StreamRequest,
    messages,
)
from tagboat.runtime.docker.progress import PullProgress
from tagboat.runtime.docker.refusal import login_refusal, pull_refusal
from tagboat.runtime.launch import ensure_pulled

_COUNTING_LOOK_S = 0.5


class DockerHoldings:
    """The calls about images, volumes and the disk of one engine.

    `pull_idle_s` is how many seconds a pull may go without news, `logins` has the passwords that
    are not on record.
    """

    def __init__(
        self, connection: DockerConnection, pull_idle_s: float, logins: RegistryLogins
    ) -> None:
        self._connection = connection
        self._pull_idle_s = pull_idle_s
        self._logins = logins

    async def on(self, engine: EngineKind | None) -> Self:
        """Return itself. Raises EngineMissingError for a swarm, which `Engines` has."""
        if engine is EngineKind.SWARM:
            raise EngineMissingError("the stage asks for a swarm, and there is one Docker engine")
        return self

    async def replace_tasks(self, workload: str) -> None:
        """Do nothing: the engine knows where a container is reached."""

    async def manages_swarm(self) -> bool:
        """Return whether the engine is a manager of a swarm."""
        async with self._connection.use("tell of its swarm", ASK_S) as docker:
            swarm = (await docker.system.info()).get("Swarm") or {}
            return bool(swarm.get("ControlAvailable"))

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return the description of `NAME:TAG` or `NAME@DIGEST`, None when it is not there."""
        async with self._connection.use(f"inspect the image {image}", ASK_S) as docker:
            try:
                return image_wire.image_info(await docker.images.inspect(image), image)
            except DockerError as error:
                unless_gone(error)
                return None

    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        progress: Callable[[str], None],
    ) -> ImageInfo:
        """Pull `image`@`digest`, and return what the engine says of it.

        `progress` gets words, at most twice a second.
        """
        reference = f"{image}@{digest}"

        async def pull_as(known: Registry | None) -> None:
            auth = image_wire.registry_auth(image, known)
            request = StreamRequest(
                path="images/create",
                method="POST",
                params={"fromImage": reference},
                headers={"X-Registry-Auth": auth} if auth else {},
                doing=f"pull {image}",
                idle_s=self._pull_idle_s,
            )
            await self._follow_pull(request, image, known.password if known else None, progress)

        await self._logins.use(registry, pull_as, EngineDeniedError, str(image))
        # A stream also ends when the engine is stopped: its end alone does not prove a pull.
        info = await self.inspect_image(reference)
        if info is None:
            raise EngineUnavailableError(
                f"the engine broke off the pull of {reference}: the image did not arrive"
            )
        return info

    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,
        progress: Callable[[str], None],
    ) -> ImageInfo | None:
        """Pull `image`@`digest` unless the engine has it, and return what it says of itself."""
        return await ensure_pulled(self, image, digest, registry, before_pull, progress)

    async def log_in(self, registry: Registry) -> None:
        """Log in to a registry from the engine, as its pulls do.

        Raises EngineError, which says why that cannot be.
        """
        explain = partial(login_refusal, host=registry.host, secret=registry.password)
        async with self._connection.use(f"log in to {registry.host}", CHANGE_S, explain) as docker:
            await docker.auth(**image_wire.registry_login(registry.host, registry))

    async def remove_image(self, image: str) -> bool:
        """Take the name `NAME@DIGEST` off an image, and remove it if it has no other.

        False where somebody needs it.
        """
        async with self._connection.use(f"remove the image {image}", CHANGE_S) as docker:
            try:
                found = await docker.images.inspect(image)
                # Some engines take a repository's tags away with its digest, and nothing would be
                # freed as long as there is one.
                if image_wire.repo_tags(found):
                    return False
                made_of_it = json.dumps({"ancestor": [found["Id"]]})
                if await docker.containers.list(all=True, filters=made_of_it):
                    return False
                await docker.images.delete(image)
            except DockerError as error:
                if error.status == HTTPStatus.CONFLICT:  # it has uses that only the engine knows
                    return False
                unless_gone(error)
            return True

    async def list_volumes(self, prefix: str) -> list[str]:
        """Return the names of all volumes that begin with `prefix`, in order."""
        async with self._connection.use("list volumes", ASK_S) as docker:
            # aiodocker's own calls for volumes bear no types.
            params = {"filters": json.dumps({"name": [prefix]})}
            answer = await docker._query_json("volumes", params=params)  # noqa: SLF001
            found = answer.get("Volumes") or []
        # The engine finds it anywhere in a name.
        return sorted(volume["Name"] for volume in found if volume["Name"].startswith(prefix))

    async def remove_volume(self, name: str) -> bool:
        """Remove the volume with all that is in it.

        False where any container uses it.
        """
        async with self._connection.use(f"remove the volume {name}", CHANGE_S) as docker:
            try:
                async with docker._query(f"volumes/{name}", method="DELETE"):  # noqa: SLF001
                    pass
            except DockerError as error:
                if error.status == HTTPStatus.CONFLICT:
                    return False
                unless_gone(error)
            return True

    async def root_dir(self) -> str:
        """Return where the engine keeps images, containers and volumes, as it sees it itself."""
        async with self._connection.use("tell where it keeps its data", ASK_S) as docker:
            return str((await docker.system.info())["DockerRootDir"])

    async def disk_usage(self) -> DiskUsage:
        """Return what images and volumes take; it looks at all of them, and may need long."""
        async with self._connection.use("tell what takes its disk", CHANGE_S) as docker:
            while True:
                try:
                    # aiodocker has no call for it.
                    answer = await docker._query_json("system/df")  # noqa: SLF001
                except DockerError as error:
                    # Docker before 23 counts for one caller at a time, and refuses the others.
                    if "already running" not in str(error.message):
                        raise
                    await asyncio.sleep(_COUNTING_LOOK_S)
                else:
                    return image_wire.disk_usage(answer)

    async def _follow_pull(
        self,
        request: StreamRequest,
        image: ImageName,
        secret: str | None,
        progress: Callable[[str], None],
    ) -> None:
        clock = asyncio.get_running_loop().time
        summary = PullProgress()
        async with self._connection.stream(
            request, lambda error: pull_refusal(error, image, secret)
        ) as chunks:
            async for message in messages(chunks):
                # ImageCreate answers 200 before it asks the registry, so that errors come as
                # messages.
                if "error" in message or "errorDetail" in message:
                    detail = message.get("errorDetail") or {}
                    raise DockerError(0, str(detail.get("message") or message.get("error")))
                summary.feed(message)
                if words := summary.news(clock()):
                    progress(words)
        if words := summary.last_news(clock()):
            progress(words)


def unless_gone(error: DockerError) -> None:
    """Raise `error` unless it says that the thing asked for does not exist."""
    if error.status != HTTPStatus.NOT_FOUND:
        raise error
