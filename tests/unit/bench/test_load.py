"""The load of `make bench` counts truly: a lost request is seen, whatever way it was lost, and so
is a standstill.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.load import Answer, Asker, Kind, Load, LostError, Talk
from bench.phase import Phase, Span

pytestmark = pytest.mark.anyio
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PAGE = Kind("page", "/", "hello", every_s=0.01)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def app(serve: Serve) -> AsyncIterator[int]:
    """An app on loopback that does `serve` with each connection; its port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def answers(content: bytes) -> Serve:
    """Answer every request with `content`, as long as the client likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(content)
            await writer.drain()
            if content != GOOD:
                return

    return serve


async def loaded(port: int, *askers: Asker, until: int = 5) -> Load:
    load = Load(port, "a.localhost")
    load.begin(askers)
    async with asyncio.timeout(60):
        while load.sent < until:  # noqa: ASYNC110 - counting is all the askers do
            await asyncio.sleep(0.01)
        await load.end()
    return load


@pytest.mark.parametrize("fresh", [False, True])
async def test_right_answers_are_timed(fresh: bool) -> None:
    async with app(answers(GOOD)) as port:
        load = await loaded(port, Asker(PAGE, fresh))
    assert not load.lost
    assert len(load.answers["page"]) == load.sent >= 5
    assert all(0 < answer.took_s < 60 for answer in load.answers["page"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "page: answered 502"),
        (GOOD.replace(b"hello", b"other"), "page: answered b'other'"),
        (GOOD[:-2], "page: closed in the middle of the answer, or before it"),
        (b"", "page: closed in the middle of the answer, or before it"),
    ],
)
async def test_any_other_answer_is_a_lost_request(content: bytes, reason: str) -> None:
    async with app(answers(content)) as port:
        load = await loaded(port, Asker(PAGE, fresh=False))
    assert load.lost["page"] == load.sent >= 5
    assert load.reasons == {reason: load.sent}


async def test_a_standstill_counts_from_the_moment_at_which_each_request_was_due() -> None:
    stuck = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            if not stuck.is_set():
                await asyncio.sleep(0.3)
                stuck.set()
            writer.write(GOOD)

    async with app(serve) as port:
        load = await loaded(port, Asker(PAGE, fresh=False), until=20)
    late = [answer.took_s for answer in load.answers["page"] if answer.took_s > 0.1]
    assert len(late) >= 10  # those that were due in the meantime have waited, too


async def test_an_upload_is_sent_in_full() -> None:
    kind = Kind("upload", "/", "hello", every_s=0.1, upload=80_000)
    received = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        received = len(await reader.readexactly(80_000))
        writer.write(GOOD)

    async with app(serve) as port:
        load = Load(port, "a.localhost")
        load.ask_once(kind, 1)
        await load.end()
    assert received == 80_000
    assert len(load.answers["upload"]) == 1


async def test_a_websocket_that_is_closed_is_noticed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        for _ in range(2):
            message = await reader.readexactly(10)
            writer.write(b"\x81\x04" + message[6:])

    async with app(serve) as port, Talk(port, "a.localhost") as talk, asyncio.timeout(60):
        while talk.broken is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert talk.messages == 2


async def test_what_is_no_websocket_is_an_error() -> None:
    async with app(answers(GOOD + b"\r\n\r\n")) as port:
        with pytest.raises(LostError, match="no WebSocket was opened"):
            async with Talk(port, "a.localhost"):
                pass


async def test_percentiles_of_all_and_of_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    phase, load = Phase(0, "", ()), Load(0, "")
    load.answers["page"] = [
        Answer(due=float(number), took_s=number / 1000) for number in range(1, 101)
    ]
    phase.loads.append(load)
    phase.spans = [Span("start", 1, 51), Span("switch", 51, 101), Span("drain", 51, 60)]
    assert phase.p99_ms(PAGE) == 99
    phase.say_parts(PAGE)
    assert (
        capsys.readouterr().out == "    p99 of a page asked for during: start 50, switch 100 ms\n"
    )
