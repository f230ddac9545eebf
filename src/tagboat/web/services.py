"""The services of the pages, handed in by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.types import Scope

from tagboat.core.ports import Store
from tagboat.core.principal import Principal
from tagboat.http.event_hub import EventHub
from tagboat.operations.operations import Operations


class Sessions(Protocol):
    """The browsers that are signed in."""

    async def principal(self, scope: Scope) -> Principal | None:
        """Return who sends a request, None where nobody is signed in."""

    def csrf_token(self, principal: Principal) -> str:
        """Return the token that forms of this session carry."""


class NoSessions:
    """Nobody is signed in."""

    async def principal(self, scope: Scope) -> Principal | None:  # noqa: ARG002 - as any sessions
        """Return None."""
        return None

    def csrf_token(self, principal: Principal) -> str:  # noqa: ARG002 - as any sessions
        """Return a token that no form carries."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """The operations, and what only pages need.

    `events` hands events on to open pages, and `store` says from which id on.
    """

    operations: Operations
    store: Store
    events: EventHub
    sessions: Sessions
    clock: Callable[[], datetime]
