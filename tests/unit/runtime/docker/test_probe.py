"""The probe against real sockets on loopback, each answering in its own way."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tagboat import __version__
from tagboat.core.health import Manner
from tagboat.runtime.docker.probe import LoopbackProbe
from tests.support.endpoints import at

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


def slowly(answer: bytes, seconds: float) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(seconds)
        writer.write(answer)

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


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_2xx_and_3xx_are_a_yes(status: int) -> None:
    async with served(answering(b"HTTP/1.1 %d Fine\r\n\r\n" % status)) as port:
        assert await LoopbackProbe().http(at(port), "/health") is None


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_other_statuses_are_named(status: int) -> None:
    async with served(answering(b"HTTP/1.0 %d Oh\r\n\r\n" % status)) as port:
        assert await LoopbackProbe().http(at(port), "/health") == f"answered HTTP {status}"


async def test_interim_answers_are_passed_over() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 503 No\r\n\r\n"
    async with served(answering(answer)) as port:
        assert await LoopbackProbe().http(at(port), "/") == "answered HTTP 503"


async def test_the_request_is_one_as_it_comes_through_the_front() -> None:
    seen: list[bytes] = []
    async with served(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen)) as port:
        await LoopbackProbe().http(
            at(port), "/up?full=1&x=a%20b", Manner(host="app.example.com", proto="https")
        )
    assert seen == [
        b"GET /up?full=1&x=a%20b HTTP/1.1\r\nHost: app.example.com\r\n"
        + f"User-Agent: tagboat/{__version__}\r\nAccept: */*\r\n".encode()
        + (
            b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: app.example.com\r\n"
            b"X-Forwarded-Proto: https\r\n"
        )
        + b"Connection: close\r\n\r\n"
    ]


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nlocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("proto", ["http", "https"])
@pytest.mark.parametrize(
    "location",
    [
        "https://app.example.com/health",
        "HTTPS://other.example.com/health",
        "https://app.example.com:443/health",
        "https://app.example.com:8443/health?from=http",
        "https://app.example.com/health/",
        "https://app.example.com/%68ealth#top",
    ],
)
async def test_a_redirect_to_the_same_path_under_https_is_no_answer(
    location: str, proto: str
) -> None:
    async with served(answering(redirect(location))) as port:
        said = await LoopbackProbe().http(
            at(port), "/health?full=1", Manner(host="app.example.com", proto=proto)
        )
    assert said is not None
    assert said.startswith(
        "HTTP 301 to the same path under https, which says nothing about its health; "
    )
    assert ("X-Forwarded-Proto" if proto == "https" else "TAGBOAT_PUBLIC_URL") in said


@pytest.mark.parametrize(
    "location",
    [
        "/health",
        "/health/",
        "login?next=/health",
        "http://www.example.com/health",
        "https://app.example.com/",
        "https://app.example.com/login?next=https://app.example.com/health",
        "//app.example.com/health",  # of a request by http
        "https://[broken/health",
        "",
    ],
)
async def test_any_other_redirect_is_an_answer(location: str) -> None:
    async with served(answering(redirect(location))) as port:
        assert await LoopbackProbe().http(at(port), "/health") is None


async def test_a_redirect_that_leaves_out_the_scheme_has_that_of_the_request() -> None:
    async with served(answering(redirect("//app.example.com/health"))) as port:
        assert await LoopbackProbe().http(at(port), "/health", Manner(proto="https")) is not None


async def test_no_header_of_a_good_answer_is_waited_for() -> None:
    async def starts_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    async with served(starts_only) as port:
        assert await LoopbackProbe().http(at(port), "/") is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"Content-Length: 24\r\n\r\n\n  Invalid HTTP_HOST here", "Invalid HTTP_HOST here"),
        (b"Content-Length: 9\r\n\r\nfirst\nsecond", "first"),
        (
            (
                b"Transfer-Encoding: chunked\r\n\r\n4\r\nData\r\n6\r\nbase: \r\n4;x=y\r\n"
                b"down\r\n0\r\n\r\n"
            ),
            "Database: down",
        ),
        (b"\r\n\x1b[31mred\x1b[0m \x00and\tbell\x07", "red and bell"),
        (b"\r\n" + b"x" * 5000, "x" * 160 + "\u2026"),
        (
            (
                b"\r\n<!doctype html><html><head><title>Bad Request (400)</title></"
                b"head><body><h1>x</h1>"
            ),
            "Bad Request (400)",
        ),
        (b"\r\n<h1>Not <b>well</b></h1>", "Not"),
        (b"Content-Encoding: gzip\r\n\r\n\x1f\x8bsomething", ""),
        (b"Content-Length: 0\r\n\r\n", ""),
        (b"\r\n<html><title>400 Bad Request</title>", ""),  # no more than the status
        (b"\r\nBad Request.", ""),
    ],
)
async def test_the_first_line_of_the_body_says_why(answer: bytes, said: str) -> None:
    async with served(answering(b"HTTP/1.1 400 Bad Request\r\n" + answer)) as port:
        words = await LoopbackProbe().http(at(port), "/")
    assert words == ("answered HTTP 400: " + said if said else "answered HTTP 400")


async def test_a_body_that_never_comes_keeps_the_status_from_nobody() -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n")
        await reader.read()

    async with served(stalls) as port:
        assert await LoopbackProbe().http(at(port), "/", Manner(limit_s=1.5)) == "answered HTTP 503"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("health", b"/health"),
        ("", b"/"),
        ("/a b\r\nX: y", b"/a%20b%0D%0AX:%20y"),
        ("/grün#x", b"/gr%C3%BCn%23x"),
    ],
)
async def test_no_path_can_break_out_of_its_line(path: str, target: bytes) -> None:
    seen: list[bytes] = []
    async with served(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen)) as port:
        assert await LoopbackProbe().http(at(port), path) is None
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
        assert await LoopbackProbe().http(at(port), "/") == words


async def test_http_needs_a_listener(closed_port: int) -> None:
    assert await LoopbackProbe().http(at(closed_port), "/") == "connection refused"


async def test_http_is_hung_up_on() -> None:
    for handler in (hangs_up, resets):
        async with served(handler) as port:
            assert (
                await LoopbackProbe().http(at(port), "/")
                == "it closed the connection without an answer"
            )


async def test_http_waits_only_so_long() -> None:
    async with served(silent) as port:
        assert (
            await LoopbackProbe().http(at(port), "/", Manner(limit_s=0.2))
            == "no answer within 0.2 s"
        )


async def test_an_answer_that_comes_late_is_one_where_that_is_allowed() -> None:
    async with served(slowly(b"HTTP/1.1 200 OK\r\n\r\n", 0.3)) as port:
        assert (
            await LoopbackProbe().http(at(port), "/", Manner(limit_s=0.1))
            == "no answer within 0.1 s"
        )
        assert await LoopbackProbe().http(at(port), "/", Manner(limit_s=60)) is None


async def test_a_port_that_stays_open_is_a_yes() -> None:
    async with served(silent) as port:
        assert await LoopbackProbe().tcp(at(port)) is None


async def test_a_port_that_speaks_is_a_yes() -> None:
    async with served(greets) as port:
        assert await LoopbackProbe().tcp(at(port)) is None


async def test_a_port_that_hangs_up_at_once_is_a_no() -> None:
    for handler in (hangs_up, resets):
        async with served(handler) as port:
            assert await LoopbackProbe().tcp(at(port)) == "nothing listens on the port yet"


async def test_a_port_that_hangs_up_on_the_silent_but_answers_http_is_a_yes() -> None:
    connections = 0

    async def curt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            return  # the silent one
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 No\r\n\r\n")

    async with served(curt) as port:
        assert await LoopbackProbe().tcp(at(port)) is None
    assert connections == 2


async def test_tcp_needs_a_listener(closed_port: int) -> None:
    assert await LoopbackProbe().tcp(at(closed_port)) == "connection refused"


@pytest.mark.parametrize("port", [0, 70_000])
async def test_no_port_at_all(port: int) -> None:
    assert await LoopbackProbe().tcp(at(port)) is not None
    assert await LoopbackProbe().http(at(port), "/") is not None
