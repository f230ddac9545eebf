"""Addresses that may be connected to: never link-local ones, private ones only if configured.

Registries' responses and callers of the webhook name hosts to which this server connects. At
link-local addresses clouds give a machine's credentials to every process that asks, so no registry
is ever there.
"""

from socket import AF_UNSPEC, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from tagboat.core.addresses import is_link_local, is_public

LINK_LOCAL = "is a link-local address, where no registry is asked for anything"
NOT_PUBLIC = (
    "is not a public address: nothing is asked there for a registry that is public, "
    "or that is not configured (tagboat registries add)"
)
"""Messages about such a host, to follow its name."""


class NotAskedError(OSError):
    """A name has addresses, but none that may be connected to. The text follows the name."""


class Resolver(AbstractResolver):
    """The system's resolver without link-local addresses, and without private ones on request.

    The addresses checked are those that are then connected to. Literal addresses are not resolved
    and must be checked elsewhere.
    """

    def __init__(self, *, public_only: bool = False) -> None:
        self._system = ThreadedResolver()
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the allowed addresses of `host`.

        Raises OSError if it has no address, NotAskedError if it has no allowed one.
        """
        # A check before the connection could be of another answer: DNS may change in between.
        found = await self._system.resolve(host, port, family)
        allowed = [entry for entry in found if not is_link_local(entry["host"])]
        if not allowed:
            raise NotAskedError(LINK_LOCAL)
        if self._public_only:
            allowed = [entry for entry in allowed if is_public(entry["host"])]
        if not allowed:
            raise NotAskedError(NOT_PUBLIC)
        return allowed

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._system.close()
