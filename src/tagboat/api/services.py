"""The services of the API, handed in by the composition root."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.types import ASGIApp

from tagboat.core.store_port import HashingStore
from tagboat.http.event_hub import EventHub
from tagboat.http.identification import PRINCIPAL, Authenticator
from tagboat.http.own_hosts import OwnHosts
from tagboat.operations.operations import Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
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


# Dependencies are coroutines: FastAPI would run a plain function in a thread for each call.
async def get_services(request: Request) -> ApiServices:
    """Return the services of the application that answers."""
    return cast("ApiServices", request.app.state.services)


async def get_operations(request: Request) -> Operations:
    """Return the operations of the application that answers."""
    services = cast("ApiServices", request.app.state.services)
    return services.operations.by(request.scope[PRINCIPAL])


Services = Annotated[ApiServices, Depends(get_services)]
"""The services, as routes ask for them."""

Ops = Annotated[Operations, Depends(get_operations)]
"""The operations, as routes ask for them."""
