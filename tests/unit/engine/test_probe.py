"""The probe against real sockets on loopback, each answering in its own way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tagboat import __version__
from tagboat.engine import probe as probe_module
from tagboat.engine.probe import LoopbackProbe

pytestmark = pytest.mark.anyio

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[int]:
    """Answer every connection with `handler`; yields the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass  # the probe hangs up when it has seen enough
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        await writer.drain()

    return handler


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hangs_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """As Docker's proxy does while the app does not listen."""


async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await writer.drain()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_WHOLE_S", 0.2)


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_2xx_and_3xx_are_a_yes(status: int) -> None:
    async with served(answering(b"HTTP/1.1 %d Fine\r\n\r\n" % status)) as port:
        assert await LoopbackProbe().http(port, "/health") is None


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_other_statuses_are_named(status: int) -> None:
    async with served(answering(b"HTTP/1.0 %d Oh\r\n\r\n" % status)) as port:
        assert await LoopbackProbe().http(port, "/health") == f"answered HTTP {status}"


async def test_interim_answers_are_passed_over() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 503 No\r\n\r\n"
    async with served(answering(answer)) as port:
        assert await LoopbackProbe().http(port, "/") == "answered HTTP 503"


async def test_the_request_is_plain_http() -> None:
    seen: list[bytes] = []
    async with served(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen)) as port:
        await LoopbackProbe().http(port, "/up?full=1&x=a%20b")
    assert seen == [
        b"GET /up?full=1&x=a%20b HTTP/1.1\r\nHost: localhost\r\n"
        + f"User-Agent: tagboat/{__version__}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
    ]


@pytest.mark.parametrize(
    ("path", "target"),
    [("health", b"/health"), ("", b"/"), ("/a b\r\nX: y", b"/a%20b%0D%0AX:%20y"), ("/grün#x", b"/gr%C3%BCn%23x")],
)
async def test_no_path_can_break_out_of_its_line(path: str, target: bytes) -> None:
    seen: list[bytes] = []
    async with served(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen)) as port:
        assert await LoopbackProbe().http(port, path) is None
    assert seen[0].startswith(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "it closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "it answered something that is not HTTP"),
        (b"HTTP/1.1 yes\r\n", "it answered something that is not HTTP"),
        (b"x" * 100_000, "it answered something that is not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "it closed the connection without an answer"),
    ],
)
async def test_what_is_no_answer_is_told_in_words(answer: bytes, words: str) -> None:
    async with served(answering(answer)) as port:
        assert await LoopbackProbe().http(port, "/") == words


async def test_http_needs_a_listener(closed_port: int) -> None:
    assert await LoopbackProbe().http(closed_port, "/") == "connection refused"


async def test_http_is_hung_up_on() -> None:
    for handler in (hangs_up, resets):
        async with served(handler) as port:
            assert await LoopbackProbe().http(port, "/") == "it closed the connection without an answer"


@pytest.mark.usefixtures("_impatient")
async def test_http_waits_only_so_long() -> None:
    async with served(silent) as port:
        assert await LoopbackProbe().http(port, "/") == "no answer within 0.2 s"


async def test_a_port_that_stays_open_is_a_yes() -> None:
    async with served(silent) as port:
        assert await LoopbackProbe().tcp(port) is None


async def test_a_port_that_speaks_is_a_yes() -> None:
    async with served(greets) as port:
        assert await LoopbackProbe().tcp(port) is None


async def test_a_port_that_hangs_up_at_once_is_a_no() -> None:
    for handler in (hangs_up, resets):
        async with served(handler) as port:
            assert await LoopbackProbe().tcp(port) == "nothing listens on the port yet"


async def test_tcp_needs_a_listener(closed_port: int) -> None:
    assert await LoopbackProbe().tcp(closed_port) == "connection refused"


@pytest.mark.parametrize("port", [0, 70_000])
async def test_no_port_at_all(port: int) -> None:
    assert await LoopbackProbe().tcp(port) is not None
    assert await LoopbackProbe().http(port, "/") is not None
