"""Constant load on a host behind the ingress: how long each answer took, and which were lost.

Each asker has a timetable and keeps it: an answer that is late makes the next request late too, and
its time counts from the moment at which it was due. So a standstill is seen in full, however few
connections stood still.
"""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

_LIMIT_S = 40.0
_OK = 200
_HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: "
    "websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 wants for that key, by its own example."""
_TALK_EVERY_S = 0.1
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LostError(Exception):
    """A request without its answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request, sent each `every_s` seconds, with its answer and `upload` bytes."""

    name: str
    path: str
    answer: str
    every_s: float
    upload: int = 0


@dataclass(frozen=True, slots=True)
class Asker:
    """A client that repeats one kind of request, on one connection, or each on a `fresh` one."""

    kind: Kind
    fresh: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A right answer: when it was `due` (seconds of the epoch), and its time from then."""

    due: float
    took_s: float


class Load:
    """The results.

    `answers` are by kind; `lost` counts by kind; `reasons` says why, in words.
    """

    def __init__(self, port: int, host: str) -> None:
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.lost: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._port, self._host = port, host
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sent(self) -> int:
        """How many requests have had their answer or lost it."""
        return sum(map(len, self.answers.values())) + self.lost.total()

    def begin(self, askers: Sequence[Asker]) -> None:
        """Let them ask until `end`, each beginning at another moment of its timetable."""
        for number, asker in enumerate(askers):
            delay_s = asker.kind.every_s * number / len(askers)
            self._tasks.append(asyncio.create_task(self._keep_asking(asker, delay_s)))

    def ask_once(self, kind: Kind, count: int) -> None:
        """Send `count` such requests now; `end` waits for their answers."""
        self._tasks += [asyncio.create_task(self._ask_alone(kind)) for _ in range(count)]

    async def end(self) -> None:
        """Send nothing more, and wait for what is under way."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _ask_alone(self, kind: Kind) -> None:
        await self._ask(kind, None, time.perf_counter(), kept=False)

    async def _keep_asking(self, asker: Asker, delay_s: float) -> None:
        streams: Streams | None = None
        due = time.perf_counter() + delay_s
        while not await self._is_over(due):
            streams = await self._ask(asker.kind, streams, due, kept=not asker.fresh)
            due += asker.kind.every_s
        if streams is not None:
            streams[1].close()

    async def _is_over(self, due: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.perf_counter())):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _ask(
        self, kind: Kind, streams: Streams | None, due: float, *, kept: bool
    ) -> Streams | None:
        """Send one request; the connection if it can be used again."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                streams = streams or await asyncio.open_connection("127.0.0.1", self._port)
                await self._send(streams[1], kind)
                keeps = await _receive(streams[0], kind.answer)
        except (OSError, EOFError, TimeoutError, ValueError, LostError) as error:
            self.lost[kind.name] += 1
            self.reasons[f"{kind.name}: {_why(error)}"] += 1
            keeps = False
        else:
            took_s = time.perf_counter() - due
            self.answers[kind.name].append(Answer(time.time() - took_s, took_s))
        if kept and keeps:
            return streams
        if streams is not None:
            streams[1].close()
        return None

    async def _send(self, writer: asyncio.StreamWriter, kind: Kind) -> None:
        method, length = (
            ("POST", f"Content-Length: {kind.upload}\r\n") if kind.upload else ("GET", "")
        )
        writer.write(
            f"{method} {kind.path} HTTP/1.1\r\nHost: {self._host}\r\n{length}\r\n".encode()
        )
        # In parts, so that it is under way for most of the time until the next.
        for _ in range(parts := 8 if kind.upload else 0):
            writer.write(bytes(kind.upload // parts))
            await writer.drain()
            await asyncio.sleep(kind.every_s / 2 / parts)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_LIMIT_S:.0f} s"
    if isinstance(error, EOFError):
        return "closed in the middle of the answer, or before it"
    return str(error) or type(error).__name__


async def _receive(reader: asyncio.StreamReader, expected: str) -> bool:
    """Read the right answer; whether the connection stays open.

    Raises LostError for any other, EOFError for half of one.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    first, *lines = head.strip().split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    if first.split()[1] != str(_OK):
        raise LostError(f"answered {first.split()[1]}")
    if body.decode() != expected:
        raise LostError(f"answered {body[:30]!r}")
    return headers.get("connection") != "close"


class Talk:
    """Exchange ten messages a second on a WebSocket, inside the block.

    `messages` counts those that came back, `longest_s` is the longest time of one; `broken` says
    why it ended too early.
    """

    def __init__(self, port: int, host: str) -> None:
        self.messages = 0
        self.longest_s = 0.0
        self.broken: str | None = None
        self._port, self._host = port, host
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(_HANDSHAKE.format(host=self._host).encode())
        async with asyncio.timeout(_LIMIT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
        if _ACCEPTED not in head:
            self._writer.close()
            raise LostError(f"no WebSocket was opened: {head[:100]!r}")
        self._task = asyncio.create_task(self._keep_talking())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await self._task
        self._writer.close()

    async def _keep_talking(self) -> None:
        try:
            while not self._stopping.is_set():
                await self._say(b"%04d" % (self.messages % 10000))
                await asyncio.sleep(_TALK_EVERY_S)
        except (OSError, EOFError, TimeoutError, LostError) as error:
            self.broken = str(error) or type(error).__name__

    async def _say(self, text: bytes) -> None:
        began = time.perf_counter()
        # A client must mask; with a mask of zeros the text stays as it is.
        self._writer.write(b"\x81\x84\0\0\0\0" + text)
        async with asyncio.timeout(_LIMIT_S):
            answer = await self._reader.readexactly(2 + len(text))
        if answer != b"\x81\x04" + text:
            raise LostError(f"the message came back as {answer!r}")
        self.messages += 1
        self.longest_s = max(self.longest_s, time.perf_counter() - began)


class Stream:
    """Listen to a stream of events that contain their sending time, inside the block.

    `late_s` is how late each came, in seconds; `broken` says why it ended too early.
    """

    def __init__(self, port: int, host: str) -> None:
        self.late_s: list[float] = []
        self.broken: str | None = None
        self._port, self._host = port, host

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(f"GET /events HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        async with asyncio.timeout(_LIMIT_S):
            await self._reader.readuntil(b"\r\n\r\n")
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"data: "):
                self.late_s.append(time.time() - float(line[6:]))
        self.broken = "it ended"
