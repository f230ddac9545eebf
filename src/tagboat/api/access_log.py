"""One line for every call, without the secrets that addresses can hold."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEBHOOK_PATH = "/api/webhook/"
_MASKED = f"{WEBHOOK_PATH}***"


class AccessLog:
    """Logs method, path (never the query), status and milliseconds. Status 0: the caller hung up before the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Bound once: it is on the way of every webhook call.
        self._log = structlog.get_logger("tagboat.access").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            path = scope["path"]
            self._log.info(
                "call",
                method=scope["method"],
                path=_MASKED if path.startswith(WEBHOOK_PATH) else path,
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
            )
