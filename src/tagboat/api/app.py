"""The API as one ASGI application, with the webhook in front."""

from re import Pattern

from fastapi import APIRouter, FastAPI
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
    images,
    instances,
    metrics,
    openapi,
    orders,
    projects,
    registries,
    settings,
    stages,
)
from tagboat.api.access_log import WEBHOOK_PATH, AccessLog
from tagboat.api.gate import Gate, TokenCheck
from tagboat.api.parts import ApiParts

_WEBHOOK_ROOT = WEBHOOK_PATH.rstrip("/")
_ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    projects.router,
    stages.router,
    deploys.router,
    orders.router,
    instances.router,
    registries.router,
    images.router,
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


def build_api(parts: ApiParts) -> ASGIApp:
    """Join the routes, the gate before them, and the webhook, whose calls take the short way past both."""
    app = FastAPI(
        title="Tagboat",
        version=parts.version,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    app.state.health = health.Rounds()
    app.state.served_hosts = ask.ServedHosts()
    answers.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    gate = Gate(app, _methods(), TokenCheck(parts.tokens), openapi.OPEN_PATHS)
    return AccessLog(_Front(parts.webhook, gate, app), parts.log_call)


class _Front:
    """Tells the webhook's calls from all others; what is no call goes to FastAPI, which knows of starts and stops."""

    def __init__(self, webhook: ASGIApp, gate: ASGIApp, app: ASGIApp) -> None:
        self._webhook = webhook
        self._gate = gate
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(WEBHOOK_PATH):
            scope["root_path"] = _WEBHOOK_ROOT
            await self._webhook(scope, receive, send)
        else:
            await self._gate(scope, receive, send)


def _methods() -> dict[Pattern[str], set[str]]:
    """The methods of every address, by the expression that its path matches."""
    methods: dict[Pattern[str], set[str]] = {}
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods.setdefault(route.path_regex, set()).update(route.methods or ())
    return methods
