"""Answers that have no end of their own, and where they end: streams of events and logs."""

import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPMethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.principal import Principal
from tagboat.http.identification import PRINCIPAL, Authenticator

LOOKED_AT_EVERY_S = 10.0
"""Seconds of an answer after which its caller is looked up again, with the next part of it."""


class AnswerEnded(Exception):  # noqa: N818 - not an error: the client has its answer
    """Stops an application that would go on writing; raised by its `send`."""


class AnswerEnds:
    """Ends answers for which there is no reader, or no right to read any more.

    HEAD is answered without a body (RFC 9110, section 9.3.2). A stream ends when its caller's
    session or token has ended, or has another role: clients connect again, and are judged anew.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = head_only(send) if scope["method"] == HTTPMethod.HEAD else self._held(scope, send)
        with suppress(AnswerEnded):
            await self._app(scope, receive, bounded)

    def _held(self, scope: Scope, send: Send) -> Send:
        looked_at, is_list = self._clock(), False

        async def held(message: Message) -> None:
            nonlocal looked_at, is_list
            if message["type"] == "http.response.start":
                is_list = (b"content-type", b"application/x-ndjson") in message.get("headers", ())
            is_long = message.get("more_body", False) and PRINCIPAL in scope
            if is_long and self._clock() - looked_at >= LOOKED_AT_EVERY_S:
                if not await self._holds(scope):
                    # A list is cut off: a part of it must not pass for the whole.
                    if not is_list:
                        await send({"type": "http.response.body", "body": b""})
                    raise AnswerEnded
                looked_at = self._clock()
            await send(message)

        return held

    async def _holds(self, scope: Scope) -> bool:
        before: Principal = scope[PRINCIPAL]
        # Without the database nobody can have been locked out.
        with suppress(StoreUnavailableError):
            # A page that is left open is no use of a session. A copy of the scope: the application
            # goes on as the one that it began for.
            now = await self._authenticator.identify({**scope}, note_use=False)
            return now is not None and now.role is before.role
        return True


def head_only(send: Send) -> Send:
    """Return `send`, but sending an empty body."""

    async def send_head(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({"type": "http.response.body", "body": b""})
        # A stream has no end: the application is stopped where it would go on writing.
        if message.get("more_body", False):
            raise AnswerEnded

    return send_head
