"""The access log: one line for each call, without the secrets that a path can hold."""

import re
import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEBHOOK_PATH = "/api/webhook/"
_MAX_LOGGED_PATH = 200
"""Characters of a path that are logged. Anyone can send a path of any length."""
# A webhook's secret is a UUID, and nothing else in a path is. Masked everywhere, because a secret
# pasted at a wrong path is still a secret.
_SECRET_UUID = re.compile(
    r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)

# As tokens of the API are made: the prefix, and 43 characters.
_API_TOKEN = re.compile(r"tagboat_[A-Za-z0-9_-]{20,}")
_LINK_TOKEN = re.compile(r"(/(?:setup|sign-in)/+).+", re.IGNORECASE)


class AccessLog:
    """Calls `log_call` with method, path (never the query), status and milliseconds of each call.

    Status 0: the client closed the connection before the answer.
    """

    def __init__(self, app: ASGIApp, log_call: Callable[[str, str, int, float], None]) -> None:
        self._app = app
        self._log_call = log_call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        # Lifespan messages and refused websockets are no calls.
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

        # Before the call: a mounted application may change the scope.
        shown = mask_path(scope["path"])
        try:
            await self._app(scope, receive, watched)
        finally:
            self._log_call(scope["method"], shown, status, (time.perf_counter() - began) * 1000)


def mask_path(path: str) -> str:
    """Return `path` as it may be logged: secrets masked, at most 200 characters."""
    if path.startswith(WEBHOOK_PATH):
        return f"{WEBHOOK_PATH}***"
    masked = _API_TOKEN.sub("***", _SECRET_UUID.sub("***", path))
    # A set-up link makes an admin. Its page may be asked for with a slip in the path, too.
    masked = _LINK_TOKEN.sub(r"\1***", masked)
    return masked if len(masked) <= _MAX_LOGGED_PATH else f"{masked[:_MAX_LOGGED_PATH]}…"
