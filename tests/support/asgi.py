"""Calling an ASGI application in the same process: no sockets, no server."""

import asyncio
import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp

_UNSENT = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; header names are in lower case, and each cookie is a line."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls `app` with a bearer `token`, none when it is empty."""

    app: ASGIApp
    token: str = ""

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.call("GET", path)

    async def post(self, path: str, body: object = _UNSENT) -> Answer:
        """POST, with a JSON body where one is given."""
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: object) -> Answer:
        """PATCH with a JSON body."""
        return await self.call("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        """DELETE."""
        return await self.call("DELETE", path)

    async def call(
        self,
        method: str,
        path: str,
        body: object = _UNSENT,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any method; a body of bytes goes as it is, anything else as JSON."""
        content = (
            b""
            if body is _UNSENT
            else body
            if isinstance(body, bytes)
            else json.dumps(body).encode()
        )
        sent = {"host": "127.0.0.1:7070", "content-length": str(len(content))}
        if content:
            sent["content-type"] = "application/json"
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        return await _exchange(self.app, method, path, content, {**sent, **(headers or {})})


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """One value for each name; cookies, of which there may be several, stand on lines."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode(), value.decode()
        joined[key] = f"{joined[key]}\n{text}" if key in joined and key == "set-cookie" else text
    return joined


async def _exchange(
    app: ASGIApp, method: str, path: str, content: bytes, headers: Mapping[str, str]
) -> Answer:
    raw_path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "raw_path": raw_path.encode(),
        "query_string": quote(query, safe="%=&+").encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[MutableMapping[str, Any]] = []

    read = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal read
        if read:  # a stream waits for the end of its reader, who stays
            await asyncio.Event().wait()
        read = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], _joined(start["headers"]), body)
