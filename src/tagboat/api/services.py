"""The services of the API, handed in by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.types import ASGIApp

from tagboat.api.event_hub import EventHub
from tagboat.core.ports import Store
from tagboat.operations.operations import Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """The operations, and what only the API needs.

    `webhook` is the application for `/api/webhook/{secret}`; `events` hands events on to streams,
    and `store` says from which id on. `log_call` is called with method, path, status and
    milliseconds of a call. `tokens` open the API; `public_url` has no trailing slash.
    """

    operations: Operations
    store: Store
    webhook: ASGIApp
    events: EventHub
    tokens: tuple[str, ...] = field(repr=False)
    public_url: str
    version: str
    log_call: Callable[[str, str, int, float], None]


async def _services(request: Request) -> ApiServices:
    return cast("ApiServices", request.app.state.services)


async def _operations(request: Request) -> Operations:
    return cast("ApiServices", request.app.state.services).operations


Services = Annotated[ApiServices, Depends(_services)]
"""The services, as routes ask for them."""

Ops = Annotated[Operations, Depends(_operations)]
"""The operations, as routes ask for them."""
