"""The front: one ASGI application for all addresses, made of the three faces of `operations`."""

from collections.abc import Callable
from datetime import datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from tagboat.api.app import AT_ANY_HOST, build_api
from tagboat.api.services import ApiServices
from tagboat.http.access_log import WEBHOOK_PATH, AccessLog, LogAccess
from tagboat.http.answer_ends import AnswerEnds
from tagboat.http.own_hosts import HostCheck
from tagboat.web.app import build_web
from tagboat.web.services import WebServices

_WEBHOOK_ROOT = WEBHOOK_PATH.rstrip("/")
# All below them is answered in JSON, also what does not exist.
_API_ROOTS = ("/api", "/metrics")


def build_front(
    services: ApiServices,
    clock: Callable[[], datetime],
    log_call: LogAccess,
) -> ASGIApp:
    """Join API, webhook and pages; `log_call` is called with each call, as in `AccessLog`."""
    web = WebServices(
        operations=services.operations,
        store=services.store,
        events=services.events,
        authenticator=services.authenticator,
        hosts=services.hosts,
        clock=clock,
        stopping=services.stopping,
    )
    front = Front(services.webhook, build_api(services), build_web(web))
    ending = AnswerEnds(front, services.authenticator)
    checked = HostCheck(ending, services.hosts, AT_ANY_HOST)
    return AccessLog(checked, log_call, services.authenticator.addresses.find)


class Front:
    """Routes calls to the webhook, the API or the pages; lifespan messages go to the pages."""

    def __init__(self, webhook: ASGIApp, api: ASGIApp, web: ASGIApp) -> None:
        self._webhook = webhook
        self._api = api
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] == "websocket":
            # Closed before it is accepted: the server answers the handshake with 403 (ASGI).
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._web(scope, receive, send)
        elif scope["path"].startswith(WEBHOOK_PATH):
            # As if mounted: the webhook's router knows only the path below.
            scope["root_path"] = _WEBHOOK_ROOT
            await self._webhook(scope, receive, send)
        elif is_of_api(scope["path"]):
            await self._api(scope, receive, send)
        else:
            await self._web(scope, receive, send)


def is_of_api(path: str) -> bool:
    """Return whether a path belongs to the API, which also answers those that do not exist."""
    return any(path == root or path.startswith(f"{root}/") for root in _API_ROOTS)
