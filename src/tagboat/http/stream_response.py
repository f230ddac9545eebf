"""The answer whose body goes on as long as something comes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class ClosingStreamResponse(StreamingResponse):
    """A stream that closes what it is made of at once when the client goes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        body = cast("AsyncGenerator[bytes, None]", self.body_iterator)
        # A traceback may hold the generator: Python alone would close it at some later time.
        async with aclosing(body):
            await super().__call__(scope, receive, send)
