"""The API as one ASGI application, with the webhook in front."""

import re
from re import Pattern

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tagboat.api import (
    answers,
    ask,
    deliveries,
    deploys,
    disk,
    events,
    explain,
    health,
    hooks,
    instances,
    metrics,
    openapi,
    projects,
    registries,
    settings,
    stage_actions,
    stages,
)
from tagboat.api.filters import KnownParameters
from tagboat.api.locations import Located
from tagboat.api.metrics import METRICS_PATH
from tagboat.api.services import ApiServices
from tagboat.http.access_log import WEBHOOK_PATH, AccessLog
from tagboat.http.authentication import Authentication, TokenCheck
from tagboat.http.idempotency import IdempotentOrders

_SECRET_ANSWERS = re.compile(r"/webhooks$|/webhooks/[^/]+/rotate$|/webhook/regenerate$")
_WEBHOOK_ROOT = WEBHOOK_PATH.rstrip("/")
_ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    projects.router,
    projects.poll_router,
    stages.router,
    deploys.router,
    stage_actions.router,
    instances.router,
    registries.router,
    hooks.router,
    deliveries.router,
    explain.router,
    settings.router,
    events.router,
    ask.router,
    disk.router,
    metrics.router,
    openapi.router,
)


def build_api(services: ApiServices) -> ASGIApp:
    """Join the routes, the authentication before them, and the webhook, which has its own."""
    app = FastAPI(
        title="Tagboat",
        version=services.version,
        # FastAPI's own document and pages need no token; ours are routes like the others.
        openapi_url=None,
        redirect_slashes=False,
        # Generated clients name their functions by it: FastAPI's own has path and method in it.
        generate_unique_id_function=lambda route: route.name,
        # Scrapers add parameters of their own to the metrics.
        dependencies=[Depends(KnownParameters(openapi.OPEN_PATHS | {METRICS_PATH}))],
    )
    app.state.services = services
    answers.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    methods: dict[Pattern[str], set[str]] = {}
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods.setdefault(route.path_regex, set()).update(route.methods or ())
    orders_once = IdempotentOrders(app, services.store, _SECRET_ANSWERS)
    authentication = Authentication(
        Located(orders_once), methods, TokenCheck(services.tokens), openapi.OPEN_PATHS
    )
    return AccessLog(_Front(services.webhook, authentication, app), services.log_call)


class _Front:
    """Routes calls to the webhook or the API; lifespan messages go to FastAPI."""

    def __init__(self, webhook: ASGIApp, api: ASGIApp, lifespan: ASGIApp) -> None:
        self._webhook = webhook
        self._api = api
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # Closed before it is accepted: the server answers the handshake with 403 (ASGI).
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._lifespan(scope, receive, send)
        elif scope["path"].startswith(WEBHOOK_PATH):
            # As if mounted: the webhook's router knows only the path below.
            scope["root_path"] = _WEBHOOK_ROOT
            await self._webhook(scope, receive, send)
        else:
            await self._api(scope, receive, send)
