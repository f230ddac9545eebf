"""What every call passes before it reaches a route: does the address exist, does it know the method, who is calling.

The caller is known before anything of the body is read, and nobody but the holder of a token makes the server parse anything.
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

from tagboat.api.answers import problem_response
from tagboat.core.problem import not_found
from tagboat.webhook.flood import Line

MAX_BODY_BYTES = 1 << 20
TURNED_AWAY_PER_S = 50
"""Answers to calls without the right token: nobody tries out many, and who has the right one does not wait for them."""
_TOO_LARGE = f"the body is over {MAX_BODY_BYTES} bytes"

log = structlog.get_logger("tagboat.api")


class TokenCheck:
    """Knows the tokens that open the API, by their hashes alone."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._known = [_hash(token.encode()) for token in tokens if token]

    def accepts(self, authorization: bytes) -> bool:
        """Whether the header's value is `Bearer` and a known token; the time taken says nothing of how close it came."""
        scheme, _, offered = authorization.partition(b" ")
        hashed = _hash(offered.strip())
        matches = [hmac.compare_digest(hashed, known) for known in self._known]
        return scheme.lower() == b"bearer" and any(matches)


class Gate:
    """Answers by itself what no route needs to see. `open_paths` need no token; `methods` are those of each address."""

    def __init__(
        self,
        app: ASGIApp,
        methods: Mapping[Pattern[str], Collection[str]],
        tokens: TokenCheck,
        open_paths: Collection[str],
    ) -> None:
        self._app = app
        self._methods = methods
        self._tokens = tokens
        self._open_paths = open_paths
        self._line = Line(TURNED_AWAY_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        allowed = self._allowed(scope["path"])
        if not allowed:
            await not_found(scope, receive, send)
        elif scope["method"] not in allowed:
            names = ", ".join(sorted(allowed))
            answer = problem_response(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"this address takes {names} only",
                headers={"Allow": names},
            )
            await answer(scope, receive, send)
        elif scope["path"] not in self._open_paths and not self._tokens.accepts(
            _authorization(scope)
        ):
            answer = problem_response(
                HTTPStatus.UNAUTHORIZED,
                "a token is needed, in the header Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
            if wait_s := self._line.wait(time.monotonic()):
                await asyncio.sleep(wait_s)
            await answer(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    def _allowed(self, path: str) -> set[str]:
        return {
            method
            for pattern, methods in self._methods.items()
            if pattern.match(path)
            for method in methods
        }

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, _capped(scope, receive), send)
        except Exception:
            # The caller has been told by now; the server goes on.
            log.exception("a fault inside Tagboat", action="answer", method=scope["method"])


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _authorization(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")


def _capped(scope: Scope, receive: Receive) -> Receive:
    """`receive`, which refuses to bring more than `MAX_BODY_BYTES`."""
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    got = 0

    async def capped() -> Message:
        nonlocal got
        if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        message = await receive()
        got += len(message.get("body", b""))
        if got > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return capped
