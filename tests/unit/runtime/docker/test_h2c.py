"""The one request in HTTP/2: each way in which a server may write its status, or not answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from tagboat.core.health import Manner
from tagboat.core.protocol import AppProtocol
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tests.support.endpoints import at
from tests.support.http2 import Http2App
from tests.support.loopback import serving

pytestmark = pytest.mark.anyio
_SETTINGS = bytes.fromhex("000000040000000000")
FRONT = Manner(host="app.example.com", proto="https", limit_s=5)


def headers(block: bytes, *, end_headers: bool = True) -> bytes:
    """A HEADERS frame of the first stream."""
    return len(block).to_bytes(3) + bytes((1, 4 if end_headers else 0)) + b"\0\0\0\1" + block


@contextlib.asynccontextmanager
async def says(*frames: bytes) -> AsyncIterator[int]:
    """A server that answers with these bytes, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"".join(frames))
        await reader.read()

    async with serving(serve) as port:
        yield port


async def asked(port: int, path: str | None = "/up", manner: Manner = FRONT) -> str | None:
    return await ProtocolProbe().ask(AppProtocol.H2C, at(port), path, manner)


def encoded(status: str, *fields: tuple[str, str]) -> bytes:
    """An answer as h2 writes it."""
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    client = H2Connection()
    client.initiate_connection()
    ask = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
    client.send_headers(1, ask, end_stream=True)
    server.receive_data(client.data_to_send())
    server.send_headers(1, [(":status", status), *fields], end_stream=True)
    return server.data_to_send()


async def test_an_app_is_asked_as_the_front_would() -> None:
    async with Http2App("blue").running() as app:
        assert await asked(app.port, "/up?x=1") is None
    fields = app.seen[0]
    assert fields[":path"] == "/up?x=1"
    assert fields[":authority"] == fields["x-forwarded-host"] == "app.example.com"
    assert fields["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(
    "block",
    [
        bytes((0x40 | name,)) + b"\x03302"
        for name in range(8, 15)  # any name `:status` will do
    ]
    + [b"\x00\x07:status\x03302", b"\x08\x82\x64\x02", b"\x3f\xe1\x1f\x48\x03302"],
)
async def test_a_status_may_be_written_in_many_ways(block: bytes) -> None:
    async with says(_SETTINGS, headers(block)) as port:
        assert await asked(port) is None


@pytest.mark.parametrize("status", ["200", "204", "202", "302", "399"])
async def test_what_is_below_400_is_healthy(status: str) -> None:
    async with says(encoded(status)) as port:
        assert await asked(port) is None


@pytest.mark.parametrize("status", ["400", "405", "500", "503"])
async def test_what_is_not_is_told_but_for_an_app_without_a_path(status: str) -> None:
    async with says(encoded(status)) as port:
        assert await asked(port) == f"answered HTTP {status}"
        assert await asked(port, None) is None


async def test_interim_answers_and_long_heads_are_read_to_their_end() -> None:
    half = headers(b"\x48\x03302", end_headers=False)
    rest = b"\x00\x00\x00\x09\x04\x00\x00\x00\x01"
    async with says(_SETTINGS, headers(b"\x48\x03103"), half, rest) as port:
        assert await asked(port) is None


async def test_a_connection_that_is_to_end_still_answers() -> None:
    goes_away = bytes.fromhex("0000080700000000000000000100000000")
    async with says(_SETTINGS, goes_away, headers(b"\x88")) as port:
        assert await asked(port) is None


async def test_a_redirect_to_the_same_path_under_https_is_no_answer() -> None:
    there = ("location", "https://app.example.com/up")
    async with says(encoded("301", there)) as port:
        said = await asked(port)
        assert said is not None
        assert "the same path under https" in said
        assert await asked(port, "/other") is None
        assert await asked(port, None) is None


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "does not speak h2c"),
        ((_SETTINGS, headers(b"\xff\xff\xff\xff\xff\xff")), "does not speak h2c"),
        ((_SETTINGS, headers(b"\x00\x01x\x01y")), "does not speak h2c"),
        ((_SETTINGS, bytes.fromhex("00000403000000000100000007")), "closed the connection"),
        ((_SETTINGS, bytes.fromhex("0000080700000000000000000000000000")), "closed the connection"),
        ((_SETTINGS,), "no answer within"),
    ],
)
async def test_whoever_does_not_answer_is_told_apart(
    frames: tuple[bytes, ...], expected: str
) -> None:
    async with says(*frames) as port:
        said = await asked(port, manner=Manner(limit_s=0.5))
        assert said is not None
        assert expected in said
