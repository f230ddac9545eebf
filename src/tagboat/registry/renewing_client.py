"""A registry client whose passwords may come from commands."""

from collections.abc import Awaitable
from functools import partial

from tagboat.core.catalog import Registry
from tagboat.core.errors import PasswordCommandError, RegistryDeniedError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.registry.client import RegistryClient
from tagboat.registry.diagnostics import DiagnosticCheck, EngineLogin, diagnose
from tagboat.registry.image_catalogue import ImageList
from tagboat.registry.passwords import CommandedPasswords


class RenewingClient:
    """Implements `core.ports.TagSource` by a client, with the passwords that commands print."""

    def __init__(self, client: RegistryClient, passwords: CommandedPasswords) -> None:
        self._client = client
        self._passwords = passwords

    def rate_limited_view(self) -> "RenewingClient":
        """Return this client for background work; see `RegistryClient.rate_limited_view`."""
        return RenewingClient(self._client.rate_limited_view(), self._passwords)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:
        """Return all tags of `image`. Raises RegistryError."""
        work = partial(self._client.list_tags, image)
        return await self._passwords.use(registry, work, RegistryDeniedError, str(image))

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:
        """Return the digest to which `tag` points. Raises RegistryError."""
        work = partial(self._client.resolve, image, tag)
        return await self._passwords.use(registry, work, RegistryDeniedError, f"{image}:{tag}")

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """Return the configuration of `image`. Raises RegistryError."""
        work = partial(self._client.inspect, image)
        return await self._passwords.use(registry, work, RegistryDeniedError, str(image))

    async def identify(self, image: ImageRef, registry: Registry | None) -> Digest:
        """Return the digest of `image`, once its manifest shows that it is one."""
        work = partial(self._client.identify, image)
        return await self._passwords.use(registry, work, RegistryDeniedError, str(image))

    async def list_images(self, registry: Registry) -> ImageList:
        """Return the images of `registry`. Raises RegistryError."""

        def work(known: Registry | None) -> Awaitable[ImageList]:
            return self._client.list_images(known or registry)

        return await self._passwords.use(registry, work, RegistryDeniedError, "")

    async def examine(
        self, registry: Registry, image: ImageName | None, *, log_in: EngineLogin | None = None
    ) -> list[DiagnosticCheck]:
        """Check a registry as `diagnose` does, with a password that is made for it."""
        if not registry.password_command:
            return await diagnose(self._client, registry, image, log_in=log_in)
        try:
            known = await self._passwords.renew(registry)
        except PasswordCommandError as error:
            return [DiagnosticCheck("password command", ok=False, detail=str(error))]
        user = f" for the user {known.username}" if known.username else ""
        printed = DiagnosticCheck("password command", ok=True, detail=f"prints a password{user}")
        return [printed, *await diagnose(self._client, known, image, log_in=log_in)]
