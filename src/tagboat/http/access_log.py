"""The access log: one line for each call, without the secrets that a path can hold."""

import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog
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


_REQUEST_ID_HEADER = b"x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,63}")

LogAccess = Callable[[str, str, int, float, str, str], None]
"""Writes one access line: method, path, status, milliseconds, client address, request id."""


class AccessLog:
    """Calls `log_call` with each call: its path without the query, its client, its request id.

    Status 0: the client closed the connection before the answer. `find_client` returns the address
    of the caller. The request id is that of the header `X-Request-ID`, which a front may send, else
    one of our own; log lines that are written for the call have it too.
    """

    def __init__(
        self, app: ASGIApp, log_call: LogAccess, find_client: Callable[[Scope], str]
    ) -> None:
        self._app = app
        self._log_call = log_call
        self._find_client = find_client
        # Differs from those of other starts and servers.
        self._start = secrets.token_hex(4)
        self._numbers = itertools.count(1)

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
        shown, client, request_id = mask_path(scope["path"]), self._find_client(scope), ""
        for name, value in scope["headers"]:
            if name == _REQUEST_ID_HEADER and _REQUEST_ID.fullmatch(value):
                request_id = value.decode()
        request_id = request_id or f"{self._start}-{next(self._numbers)}"
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                await self._app(scope, receive, watched)
        finally:
            took_ms = (time.perf_counter() - began) * 1000
            self._log_call(scope["method"], shown, status, took_ms, client, request_id)


def mask_path(path: str) -> str:
    """Return `path` as it may be logged: secrets masked, at most 200 characters."""
    if path.startswith(WEBHOOK_PATH):
        return f"{WEBHOOK_PATH}***"
    masked = _API_TOKEN.sub("***", _SECRET_UUID.sub("***", path))
    # A set-up link makes an admin. Its page may be asked for with a slip in the path, too.
    masked = _LINK_TOKEN.sub(r"\1***", masked)
    return masked if len(masked) <= _MAX_LOGGED_PATH else f"{masked[:_MAX_LOGGED_PATH]}…"
