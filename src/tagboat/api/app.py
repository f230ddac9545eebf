"""The API as one ASGI application."""

import re
import warnings
from functools import cache
from re import Pattern

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.types import ASGIApp

from tagboat.api import (
    adopt,
    answers,
    ask,
    audit,
    comparisons,
    config_file,
    deliveries,
    deploys,
    disk,
    events,
    explain,
    health,
    heard,
    hooks,
    instances,
    lifecycle,
    metrics,
    one_offs,
    openapi,
    projects,
    registries,
    settings,
    stage_actions,
    stages,
    tokens,
    users,
)
from tagboat.api.filters import KnownParameters, refuse_unread_body
from tagboat.api.health import LIVE_PATH, READY_PATH
from tagboat.api.locations import Located
from tagboat.api.metrics import METRICS_PATH
from tagboat.api.roles import needed_role
from tagboat.api.services import ApiServices, WithServices
from tagboat.core.principal import Role
from tagboat.http.access_log import WEBHOOK_PATH
from tagboat.http.authentication import Authentication
from tagboat.http.idempotency import IdempotentOrders

SECRET_ANSWERS = re.compile(
    r"/webhooks$|/webhooks/[^/]+/rotate$|/webhook/regenerate$|/tokens$|/(?:setup|sign-in)-link$"
)
"""Paths whose answer shows a secret, or may, which nobody stores."""
STREAMED_ANSWERS = re.compile(r"/runs$")
"""Paths whose answer is a stream, and may show secrets as well."""
AT_ANY_HOST = (WEBHOOK_PATH, LIVE_PATH, READY_PATH, ask.ASK_PATH)
"""Paths that senders, orchestrators and a front call by whatever address they know."""
_ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    projects.router,
    projects.poll_router,
    adopt.router,
    stages.router,
    deploys.router,
    stage_actions.router,
    lifecycle.router,
    one_offs.router,
    comparisons.router,
    instances.router,
    registries.router,
    hooks.router,
    deliveries.router,
    heard.router,
    explain.router,
    settings.router,
    config_file.router,
    users.router,
    tokens.router,
    events.router,
    audit.router,
    ask.router,
    disk.router,
    metrics.router,
    openapi.router,
)


def build_api(services: ApiServices) -> ASGIApp:
    """Join the routes, and the authentication before them."""
    api = WithServices(api_routes(services.version), services)
    orders_once = IdempotentOrders(api, services.store, SECRET_ANSWERS, STREAMED_ANSWERS)
    return Authentication(
        Located(orders_once),
        route_roles(),
        services.authenticator,
        services.hosts,
        openapi.OPEN_PATHS,
    )


@cache
def api_routes(version: str) -> FastAPI:
    """Return the application of all routes, which is the same whatever services answer."""
    # FastAPI names each body by its parameter, and hides that pydantic wonders: but not when a body
    # is built at its first use.
    warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)
    app = FastAPI(
        title="Tagboat",
        version=version,
        # FastAPI's own document and pages need no token; ours are routes like the others.
        openapi_url=None,
        redirect_slashes=False,
        # Generated clients name their functions by it: FastAPI's own has path and method in it.
        generate_unique_id_function=lambda route: route.name,
        # Scrapers add parameters of their own to the metrics.
        dependencies=[
            Depends(KnownParameters(openapi.OPEN_PATHS | {METRICS_PATH})),
            Depends(refuse_unread_body),
        ],
    )
    answers.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    return app


def route_roles() -> dict[Pattern[str], dict[str, Role]]:
    """Return the methods of each path of the API, with the least role that each needs."""
    found: dict[Pattern[str], dict[str, Role]] = {}
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                of_path = found.setdefault(route.path_regex, {})
                for method in route.methods or ():
                    of_path.setdefault(method, needed_role(route, method))
    return found
