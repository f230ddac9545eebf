"""One line for every call, without the secrets that addresses can hold."""

import re
import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEBHOOK_PATH = "/api/webhook/"
_LONGEST_PATH = 200
"""Characters; anybody can write an address without end, and the log must not grow by it."""
_MASKED = f"{WEBHOOK_PATH}***"
# A webhook's secret is a UUID, and nothing else in an address is: it is one in an address with a slip in it, too.
_UUID = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class AccessLog:
    """Has `log_call` write method, path (never the query), status and milliseconds of every call.

    Status 0: the caller hung up before the answer.
    """

    def __init__(self, app: ASGIApp, log_call: Callable[[str, str, int, float], None]) -> None:
        self._app = app
        self._log_call = log_call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began = time.perf_counter()

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        path = scope["path"]
        shown = _MASKED if path.startswith(WEBHOOK_PATH) else _cut(_UUID.sub("***", path))
        try:
            await self._app(scope, receive, watched)
        finally:
            self._log_call(scope["method"], shown, status, (time.perf_counter() - began) * 1000)


def _cut(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"
