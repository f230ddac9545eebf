"""The API as one ASGI application."""

import re
from re import Pattern

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

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
from tagboat.http.authentication import Authentication, TokenCheck
from tagboat.http.idempotency import IdempotentOrders

_SECRET_ANSWERS = re.compile(r"/webhooks$|/webhooks/[^/]+/rotate$|/webhook/regenerate$")
_ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    projects.router,
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
    """Join the routes, and the authentication before them."""
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
    return Authentication(
        Located(orders_once), methods, TokenCheck(services.tokens), openapi.OPEN_PATHS
    )
