"""Checks before any route: does the path exist, does it take the method, is the token known.

The caller is authenticated before any byte of the body is read, so that only the holder of a token
can make the server parse something.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from re import Pattern

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagboat.core.principal import SERVER
from tagboat.http.problem import not_found, problem, send_problem
from tagboat.http.rate_limits import Throttle

MAX_BODY_BYTES = 1 << 20
REFUSALS_PER_S = 50
"""Answers per second to calls without a known token. Calls with one do not wait for them."""

PRINCIPAL = "tagboat.principal"
"""The key of the `Principal` that calls, in the scope of a call (ASGI)."""

log = structlog.get_logger("tagboat.api")


class TokenCheck:
    """The tokens that open the API; only their hashes are kept."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._known = [_hash(token.encode()) for token in tokens if token]

    def accepts(self, authorization: bytes) -> bool:
        """Return whether the header's value is `Bearer` and a known token, in constant time."""
        # The scheme's case does not count (RFC 9110, section 11.1); blanks may surround the token.
        scheme, _, offered = authorization.partition(b" ")
        hashed = _hash(offered.strip())
        # All are compared, whichever matches: the time says nothing about their number or place.
        matches = [hmac.compare_digest(hashed, known) for known in self._known]
        return scheme.lower() == b"bearer" and any(matches)


class Authentication:
    """Answers calls that no route needs to see, and hands on the others.

    `open_paths` need no token. `methods` are those of each path; HEAD is answered wherever GET is.
    """

    def __init__(
        self,
        app: ASGIApp,
        methods: Mapping[Pattern[str], Collection[str]],
        tokens: TokenCheck,
        open_paths: Collection[str],
    ) -> None:
        self._app = app
        self._methods = {
            pattern: {*of_path, "HEAD"} if "GET" in of_path else set(of_path)
            for pattern, of_path in methods.items()
        }
        self._tokens = tokens
        self._open_paths = open_paths
        self._throttle = Throttle(REFUSALS_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        path = scope["path"]
        allowed = {
            method
            for pattern, methods in self._methods.items()
            if pattern.match(path)
            for method in methods
        }
        if not allowed:
            await not_found(scope, receive, send)
        elif scope["method"] not in allowed:
            status, names = HTTPStatus.METHOD_NOT_ALLOWED, ", ".join(sorted(allowed))
            body = problem(status, f"this address takes {names} only")
            await send_problem(send, status, body, (b"allow", names.encode()))
        elif path in self._open_paths or self._tokens.accepts(_header(scope, b"authorization")):
            if scope["method"] == "HEAD":
                scope, send = {**scope, "method": "GET"}, head_only(send)
            scope[PRINCIPAL] = SERVER
            try:
                await self._app(scope, _capped(scope, receive), send)
            except _HeadAnswered:
                return
            except Exception:
                # The caller has its answer by now; the server goes on.
                log.exception("a fault inside Tagboat", action="answer", method=scope["method"])
        else:
            if wait_s := self._throttle.wait(time.monotonic()):
                await asyncio.sleep(wait_s)
            status = HTTPStatus.UNAUTHORIZED
            body = problem(status, "a token is needed, in the header Authorization: Bearer TOKEN")
            await send_problem(send, status, body, (b"www-authenticate", b"Bearer"))


class _HeadAnswered(Exception):  # noqa: N818 - not an error: ends a stream that nobody would read
    pass


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def head_only(send: Send) -> Send:
    """Return `send`, but sending an empty body (RFC 9110, section 9.3.2)."""

    async def send_head(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({"type": "http.response.body", "body": b""})
        # A stream has no end: the application is stopped where it would go on writing.
        if message.get("more_body", False):
            raise _HeadAnswered

    return send_head


def _capped(scope: Scope, receive: Receive) -> Receive:
    """Return `receive`, but refusing to bring more than `MAX_BODY_BYTES`."""
    too_large = HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BODY_BYTES} bytes"
    )
    announced = _header(scope, b"content-length")
    got = 0

    async def capped() -> Message:
        nonlocal got
        # Refused before a byte is read; twenty digits decide, and Python refuses to read thousands.
        if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
            raise too_large
        message = await receive()
        got += len(message.get("body", b""))
        if got > MAX_BODY_BYTES:
            raise too_large
        return message

    return capped
