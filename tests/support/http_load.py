"""Apps on loopback, one HTTP connection at a time, and constant load over many of them. All in
the test's own event loop.
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_PATIENCE_S = 60.0
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        return json.loads(self.body)


@dataclass
class App:
    """Answers with what it was asked, as JSON. `/wait` is answered after `release`, an upgrade
    becomes an echo.

    `/hang-up` closes without an answer the first time. `/status/N` is answered with that status,
    `/cut` with half of an answer and the end of the connection, `/half` with half of an answer
    that never gets its end. `stop` closes the door and every
    connection. A connection that is idle for `idle_s` seconds after an answer is closed.
    """

    name: str
    port: int = 0
    idle_s: float | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def release(self) -> None:
        self._released.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            idle_s = None
            while await self._serve(reader, writer, idle_s):
                idle_s = self.idle_s
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test's to notice, at the other end
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle_s: float | None
    ) -> bool:
        async with asyncio.timeout(idle_s):
            first, headers = await _read_head(reader)
        method, path, _ = first.split(" ", 2)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(
            {
                "app": self.name,
                "method": method,
                "path": path,
                "headers": headers,
                "length": len(body),
            }
        )
        if headers.get("upgrade") == "websocket":
            return await _echo(reader, writer, headers["sec-websocket-key"])
        if path == "/hang-up" and sum(request["path"] == path for request in self.seen) == 1:
            return False
        if path == "/wait":
            self.waiting.release()
            await self._released.wait()
        answer = json.dumps(self.seen[-1]).encode()
        status = int(path.rpartition("/")[2]) if path.startswith("/status/") else 200
        broken = path in {"/cut", "/half"}
        length = len(answer) * 2 if broken else len(answer)
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, length, answer))
        await writer.drain()
        if path == "/half":
            self.waiting.release()
            await self._released.wait()
        return not broken


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> bool:
    accepted = base64.b64encode(
        hashlib.sha1(f"{key}{_WEBSOCKET_GUID}".encode(), usedforsecurity=False).digest()
    ).decode()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accepted}",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode())
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    return False


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


class Client:
    """One connection to the ingress, kept as long as both sides like; `call` opens it (again)
    when needed.
    """

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, server_name: str | None = None
    ) -> None:
        self._port = port
        self._tls = tls
        self._server_name = server_name
        self._streams: Streams | None = None

    async def call(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and read its whole answer. Raises OSError or EOFError when it is lost."""
        await self.send(host, path, method=method, body=body, headers=headers)
        return await self.receive(has_body=method != "HEAD")

    async def send(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._tls, server_hostname=self._server_name
            )
        length = {"Content-Length": str(len(body))} if body or method == "POST" else {}
        lines = [
            f"{name}: {value}"
            for name, value in {"Host": host, **length, **(headers or {})}.items()
        ]
        writer = self._streams[1]
        writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body)
        await writer.drain()

    async def send_more(self, body: bytes) -> None:
        """More of a body whose length `send` has given as a header."""
        assert self._streams is not None
        self._streams[1].write(body)
        await self._streams[1].drain()

    async def receive(self, *, has_body: bool = True) -> Answer:
        assert self._streams is not None
        reader = self._streams[0]
        async with asyncio.timeout(_PATIENCE_S):
            first, headers = await _read_head(reader)
            body = await reader.readexactly(
                int(headers.get("content-length", "0")) if has_body else 0
            )
        if headers.get("connection") == "close":
            await self.close()
        return Answer(int(first.split(" ")[1]), headers, body)

    async def echo(self, text: bytes) -> bytes:
        """What comes back over a connection that was upgraded; empty when it has ended."""
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(text)
        async with asyncio.timeout(_PATIENCE_S):
            return await reader.read(len(text))

    async def hear(self, part: bytes) -> bytes:
        """All that comes until `part` is there, as it is on the wire; then leave."""
        assert self._streams is not None
        heard = b""
        async with asyncio.timeout(_PATIENCE_S):
            while part not in heard:
                chunk = await self._streams[0].read(65536)
                assert chunk, heard
                heard += chunk
        await self.close()
        return heard

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()


async def ask(
    port: int,
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own."""
    client = Client(port)
    try:
        return await client.call(host, path, method=method, headers=headers)
    finally:
        await client.close()


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def open_websocket(port: int, host: str) -> Client:
    """A connection that the app has upgraded. The frames that follow are whatever bytes the test
    sends.
    """
    client = Client(port)
    await client.send(host, "/ws", headers=WEBSOCKET)
    assert (await client.receive()).status == 101
    return client


@dataclass
class Load:
    """What came of constant requests, every third a POST: how often which app answered, and what
    went wrong.
    """

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stopping: bool = False
    _in_flight: int = 0
    _resting: bool = False

    @contextlib.asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """No request is on its way while the block runs, not even in the queue of a socket."""
        self._resting = True
        async with asyncio.timeout(_PATIENCE_S):
            while self._in_flight:  # noqa: ASYNC110 - counting is all the askers do
                await asyncio.sleep(0.001)
        yield
        self._resting = False

    async def goes_on(self, answers: int = 100) -> None:
        """Wait for so many more answers."""
        enough = self.answers.total() + answers
        async with asyncio.timeout(_PATIENCE_S):
            while self.answers.total() < enough:  # noqa: ASYNC110 - counting is all the askers do
                await asyncio.sleep(0.01)

    async def keep_asking(
        self, port: int, host: str, *, fresh: bool, pause_s: float, methods: Sequence[str]
    ) -> None:
        client, turns = Client(port), itertools.cycle(methods)
        while not self.stopping:
            if self._resting:
                await asyncio.sleep(0.001)
                continue
            method = next(turns)
            self._in_flight += 1
            try:
                answer = await client.call(host, method=method)
                if answer.status == 200:
                    self.answers[answer.json["app"]] += 1
                else:
                    self.failures.append(f"{method}: status {answer.status}")
            except (OSError, EOFError, TimeoutError) as error:
                self.failures.append(f"{method}: {error!r}")
                await client.close()
            finally:
                self._in_flight -= 1
            if fresh:
                await client.close()
            await asyncio.sleep(pause_s)
        await client.close()


@contextlib.asynccontextmanager
async def under_load(
    port: int,
    host: str,
    *,
    kept: int,
    fresh: int,
    pause_s: float = 0.0,
    methods: Sequence[str] = ("GET", "GET", "POST"),
) -> AsyncIterator[Load]:
    """Constant load over `kept` lasting connections and `fresh` askers that connect anew each
    time, until the block ends.

    Each asker rests `pause_s` seconds between its requests.
    """
    load = Load()
    askers = [
        asyncio.create_task(
            load.keep_asking(port, host, fresh=number >= kept, pause_s=pause_s, methods=methods)
        )
        for number in range(kept + fresh)
    ]
    try:
        yield load
    finally:
        load.stopping = True
        await asyncio.gather(*askers)
