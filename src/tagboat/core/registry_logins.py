"""Logins of registries, for the calls that need them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.errors import TagboatError
from tagboat.core.generics import T

WithLogin = Callable[[Registry | None], Awaitable[T]]
"""A call that is given a registry with its password, None for a host that is not configured."""


class RegistryLogins(Protocol):
    """The source of the passwords that are not on record."""

    async def use(
        self, registry: Registry | None, work: WithLogin[T], refused: type[TagboatError], what: str
    ) -> T:
        """Call `work` with the password of `registry`, and return its result.

        If it raises `refused` with a password that was kept from earlier, it is called once more,
        with a new one. `what` names that which is asked for. Raises PasswordCommandError without a
        password.
        """


class StoredLogins:
    """Implements `RegistryLogins` where all passwords are on record."""

    async def use(
        self,
        registry: Registry | None,
        work: WithLogin[T],
        refused: type[TagboatError],  # noqa: ARG002 - there is no other password to try
        what: str,  # noqa: ARG002 - as above
    ) -> T:
        """Call `work` once, and return its result."""
        return await work(registry)
