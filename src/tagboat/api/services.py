"""The services of the API, handed in by the composition root."""

import asyncio
from typing import Annotated, cast

from fastapi import Depends, Request
from msgspec import Struct, field
from starlette.types import ASGIApp, Receive, Scope, Send

from tagboat.core.store_port import HashingStore
from tagboat.http.event_hub import EventHub
from tagboat.http.identification import PRINCIPAL, Authenticator
from tagboat.http.own_hosts import OwnHosts
from tagboat.operations.operations import Operations

_ANSWERED_BY = "tagboat.services"


class ApiServices(Struct, frozen=True, kw_only=True):
    """The operations, and what only the API needs.

    `webhook` is the application for `/api/webhook/{secret}`; `events` hands events on to streams,
    and `store` says from which id on. `authenticator` finds the one that calls; `hosts` are the
    names of this server; `public_url` has no trailing slash. `stopping` is set when the server
    stops, and ends streams.
    """

    operations: Operations
    store: HashingStore
    webhook: ASGIApp
    events: EventHub
    authenticator: Authenticator
    hosts: OwnHosts
    public_url: str
    version: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def end_streams(self) -> None:
        """End what has no end of its own, as the server stops."""
        self.events.close()
        self.stopping.set()


class WithServices:
    """Middleware (ASGI) that gives each call the services that answer it."""

    def __init__(self, app: ASGIApp, services: ApiServices) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        scope[_ANSWERED_BY] = self._services
        await self._app(scope, receive, send)


# Dependencies are coroutines: FastAPI would run a plain function in a thread for each call.
async def get_services(request: Request) -> ApiServices:
    """Return the services that answer the call."""
    return cast("ApiServices", request.scope[_ANSWERED_BY])


async def get_operations(request: Request) -> Operations:
    """Return the operations, as those of the one who calls."""
    services = await get_services(request)
    return services.operations.by(request.scope[PRINCIPAL])


Services = Annotated[ApiServices, Depends(get_services)]
"""The services, as routes ask for them."""

Ops = Annotated[Operations, Depends(get_operations)]
"""The operations, as routes ask for them."""
