"""The callers of the flood benchmark: late, refused and lost calls are seen as such, and dawdlers
come back.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench import dawdlers, paced
from bench.webhook_flood import Seen, Span

pytestmark = pytest.mark.anyio
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
STALL_S = 0.4


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[int]:
    """A server on loopback that does `serve` with each connection; its port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(EOFError, ConnectionError):
                await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(
        accept, "127.0.0.1", 0, backlog=2 * dawdlers.CONNECTIONS
    ) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[Process]:
    """A program that has said that it is ready."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def calls_until(enough: asyncio.Event, port: int, folder: Path) -> list[paced.Call]:
    request = folder / "request"
    request.write_bytes(REQUEST)
    async with asyncio.timeout(60), running(paced.__file__, str(port), str(request)) as process:
        await enough.wait()
        process.send_signal(signal.SIGTERM)
        said, _ = await process.communicate()
    assert process.returncode == 0
    return [(due, took_s, status) for due, took_s, status in json.loads(said)]


async def test_a_standstill_is_seen_by_all_that_were_due_meanwhile(tmp_path: Path) -> None:
    numbers, enough = itertools.count(1), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            number = next(numbers)
            if number % 20 == 0:
                await asyncio.sleep(STALL_S)
            status = b"429 Too Many Requests" if number % 7 == 0 else b"202 Accepted"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{" % status)
            await writer.drain()
            writer.write(b"}")
            if number == 200:
                enough.set()

    async with served(serve) as port:
        calls = await calls_until(enough, port, tmp_path)
    assert {status for _, _, status in calls} == {202, 429}
    assert max(took_s for _, took_s, _ in calls) >= STALL_S
    period_s = paced.CONNECTIONS / paced.PER_S
    late = [
        took_s for _, took_s, _ in calls if STALL_S - 3 * period_s < took_s < STALL_S - period_s / 2
    ]
    assert late  # not sent when they were due, for the connection stood still


async def test_calls_that_get_no_answer_are_counted_too(tmp_path: Path) -> None:
    connections, enough = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nhalf")
        if connections >= 30:  # several come in between
            enough.set()

    async with served(serve) as port:
        calls = await calls_until(enough, port, tmp_path)
    assert len(calls) >= 30
    assert {status for _, _, status in calls} == {0}


async def test_calls_come_from_both_addresses(tmp_path: Path) -> None:
    seen: set[str] = set()
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.add(writer.get_extra_info("peername")[0])
        if len(seen) == len(paced.ADDRESSES):
            enough.set()
        await reader.readuntil(b"\r\n\r\n")

    async with served(serve) as port:
        await calls_until(enough, port, tmp_path)
    assert seen == set(paced.ADDRESSES)


async def test_dawdlers_never_come_to_the_end_and_come_back() -> None:
    numbers, came_back = itertools.count(1), asyncio.Event()
    heads: set[bytes] = set()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        number = next(numbers)
        heads.add((await reader.read(4096)).rstrip(b"x"))
        if number > dawdlers.CONNECTIONS:
            came_back.set()
        if number > 1:  # the first is hung up on
            while part := await reader.read(4096):
                assert part.strip(b"x") == b""

    async with (
        served(serve) as port,
        asyncio.timeout(60),
        running(dawdlers.__file__, str(port), "/hook"),
    ):
        await came_back.wait()
    assert len(heads) == 2
    assert all(head.startswith(b"POST /hook HTTP/1.1\r\n") for head in heads)
    assert sum(b"\r\n\r\n" in head for head in heads) == 1


def test_calls_belong_to_the_phase_in_which_they_were_due() -> None:
    seen = Seen()
    calls = [(float(number), number / 1000, 202) for number in range(200)]
    seen.add([*calls, (250.0, 9.0, 429)], [Span("rest", 0, 100), Span("flood", 100, 200)])
    assert seen.right == {202: 200, 429: 1}
    assert (seen.ms("rest", 0.5), seen.ms("rest", 0.99)) == (49, 98)
    assert (seen.ms("flood", 0.5), seen.ms("flood", 0.99)) == (149, 198)
