"""Small ends of HTTP/2 with prior knowledge: an app that answers as gRPC does, with trailers,
and a client that asks so.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from tests.support.loopback import serving

_PATIENCE_S = 60.0

Fields = dict[str, str]


@dataclass
class Http2App:
    """Answers every request with its own name and the request's body, then the trailer
    `grpc-status: 0`.

    It speaks first, as most such servers do. `/wait` is answered after `release`; `seen` are the
    fields of requests, and `connections` how many clients came.
    """

    name: str
    port: int = 0
    seen: list[Fields] = field(default_factory=list)
    connections: int = 0
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._released.set()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Http2App"]:
        async with serving(self._serve, tls) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        paths: dict[int, str] = {}
        while True:
            writer.write(connection.data_to_send())
            if not (chunk := await reader.read(65536)):
                break
            try:
                events = connection.receive_data(chunk)
            except ProtocolError:
                break  # as most do, without a word
            for event in events:
                if isinstance(event, RequestReceived):
                    self.seen.append(fields_of(event.headers))
                    bodies[event.stream_id], paths[event.stream_id] = b"", self.seen[-1][":path"]
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, StreamEnded):
                    await self._answer(
                        connection,
                        event.stream_id,
                        paths[event.stream_id],
                        bodies.pop(event.stream_id),
                    )

    async def _answer(self, connection: H2Connection, stream: int, path: str, body: bytes) -> None:
        if path == "/wait":
            self.waiting.release()
            await self._released.wait()
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        connection.send_data(stream, self.name.encode() + b":" + body)
        connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


@dataclass
class Http2Answer:
    """`reset` is whether the stream ended before the answer did."""

    fields: Fields = field(default_factory=dict)
    body: bytes = b""
    trailers: Fields = field(default_factory=dict)
    reset: bool = False


async def call(port: int, host: str, path: str, body: bytes) -> Http2Answer:
    """POST as gRPC does, on a connection of its own."""
    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    named = {":method": "POST", ":scheme": "http", ":authority": host, ":path": path}
    connection.send_headers(
        1, [*named.items(), ("content-type", "application/grpc"), ("te", "trailers")]
    )
    connection.send_data(1, body, end_stream=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _answer(connection, reader, writer)
    finally:
        writer.close()


async def _answer(
    connection: H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Http2Answer:
    answer, over = Http2Answer(), False
    while not over:
        writer.write(connection.data_to_send())
        chunk = await reader.read(65536)
        over = not chunk
        for event in connection.receive_data(chunk) if chunk else ():
            over = _take(answer, event) or over
    return answer


def fields_of(headers: Iterable[tuple[bytes | str, bytes | str]] | None) -> Fields:
    """As texts: the library has either."""
    return {_text(name): _text(value) for name, value in headers or ()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _take(answer: Http2Answer, event: Event) -> bool:
    """Note what an event brings; whether it is the last one."""
    if isinstance(event, ResponseReceived):
        answer.fields = fields_of(event.headers)
    elif isinstance(event, DataReceived):
        answer.body += event.data
    elif isinstance(event, TrailersReceived):
        answer.trailers = fields_of(event.headers)
    answer.reset = isinstance(event, StreamReset)
    return isinstance(event, StreamEnded | StreamReset)
