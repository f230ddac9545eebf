"""The lines of a container's log, out of the engine's byte stream, in bounded memory.

Without a terminal the stream is multiplexed: frames of an 8-byte header (stream number, three zero
bytes, length as a big-endian 32-bit number) and data (Docker Engine API, "Attach to a container").
With a terminal it is the bare output. Each line begins with the time at which it was written.
"""

import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from tagboat.core.colours import TextMark, coloured
from tagboat.core.harmless import harmless
from tagboat.core.workload import LogLine

# Limits, because an app may write lines of any length, or never end one.
MAX_LINE_BYTES = 4096
MAX_TOTAL_BYTES = 1 << 20
MAX_SAID = 160
"""Characters of a line that becomes part of a sentence."""

_FRAME_HEADER = struct.Struct(">BxxxL")
# RFC 3339 with up to nine decimals; datetime has six, too few to tell two lines apart.
_STAMP = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ", re.ASCII
)
_MAX_STAMP = len(b"2006-01-02T15:04:05.000000000+07:00 ")
_YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_SECOND = 10**9


class StampedLine(Struct, frozen=True):
    """A line fit to be shown; `at` is in nanoseconds since 1970, None where it has no time.

    `marks` are the colours of parts of it.
    """

    text: str
    at: int | None = None
    marks: tuple[TextMark, ...] = ()

    def as_log_line(self) -> LogLine:
        """Return the line as all rooms know it, its time cut to microseconds."""
        if self.at is None:
            return LogLine(self.text, None, self.marks)
        at = _YEAR_1970 + timedelta(microseconds=self.at // 1000)
        return LogLine(self.text, at, self.marks)


def nanoseconds(moment: datetime) -> int:
    """Return the nanoseconds since 1970."""
    return (moment - _YEAR_1970) // timedelta(microseconds=1) * 1000


def engine_time(at: int) -> str:
    """Return nanoseconds since 1970 as the engine takes a time: seconds with nine decimals."""
    return f"{at // _NANOSECONDS_PER_SECOND}.{at % _NANOSECONDS_PER_SECOND:09d}"


class _Line(Struct):
    """The beginning of a line whose end has not come yet; `cut` once it has grown too long."""

    data: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def extend(self, part: bytes) -> None:
        room = MAX_LINE_BYTES + _MAX_STAMP - len(self.data)
        self.data += part[:room]
        self.cut = self.cut or len(part) > room

    def finished(self) -> StampedLine:
        at, data = None, bytes(self.data)
        if stamp := _STAMP.match(data):
            second, fraction, zone = (part.decode() for part in stamp.groups(b""))
            # A time of day that does not exist is text of an app on an engine without times.
            with suppress(ValueError):
                at = nanoseconds(datetime.fromisoformat(second + zone)) + int(f"{fraction:0<9}")
                data = data[stamp.end() :]
        mark = " … (line cut)" if self.cut or len(data) > MAX_LINE_BYTES else ""
        text, marks = coloured(data[:MAX_LINE_BYTES].decode(errors="replace"))
        return StampedLine(text + mark, at, marks)


class LineReader:
    """Reads lines out of the bytes of a log."""

    def __init__(self, *, multiplexed: bool) -> None:
        self._multiplexed = multiplexed
        self._pending = bytearray()
        self._stream, self._left = 0, 0
        # By stream: output and errors may come in between two parts of one line.
        self._open: dict[int, _Line] = {}

    def feed(self, chunk: bytes) -> Iterator[StampedLine]:
        """Yield the lines that end in the next bytes, which may be cut anywhere."""
        for stream, data in self._frames(chunk) if self._multiplexed else [(0, chunk)]:
            *ends, rest = data.split(b"\n")
            for end in ends:
                self._line(stream).extend(end)
                yield self._open.pop(stream).finished()
            if rest:
                self._line(stream).extend(rest)

    def rest(self) -> Iterator[StampedLine]:
        """Yield the lines whose end has not been written."""
        for stream in list(self._open):
            yield self._open.pop(stream).finished()

    def _frames(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        self._pending += chunk
        while self._pending:
            if self._left == 0:
                # Chunks are cut anywhere, also within a header: the rest comes with the next one.
                if len(self._pending) < _FRAME_HEADER.size:
                    return
                self._stream, self._left = _FRAME_HEADER.unpack_from(self._pending)
                del self._pending[: _FRAME_HEADER.size]
            data = bytes(self._pending[: self._left])
            del self._pending[: self._left]
            self._left -= len(data)
            yield self._stream, data

    def _line(self, stream: int) -> _Line:
        return self._open.setdefault(stream, _Line())


class LogTail:
    """Keeps the last `tail` lines of what is added, at most MAX_TOTAL_BYTES together."""

    def __init__(self, tail: int) -> None:
        self._tail = tail
        self._lines: deque[StampedLine] = deque()
        self._size = 0

    def add(self, lines: Iterable[StampedLine]) -> None:
        """Take the next lines."""
        for line in lines:
            self._lines.append(line)
            self._size += len(line.text.encode())
            while len(self._lines) > self._tail or self._size > MAX_TOTAL_BYTES:
                self._size -= len(self._lines.popleft().text.encode())

    def lines(self) -> list[StampedLine]:
        """Return the last lines."""
        return list(self._lines)


def first_line(text: str) -> str:
    """Return the first line of `text` with anything on it, fit to be part of a sentence.

    Empty where there is none.
    """
    return next(_sayable(text), "")


def last_line(text: str) -> str:
    """Return the same of the last line: programs end with what went wrong."""
    *_, last = ["", *_sayable(text)]
    return last


def _sayable(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if words := " ".join(harmless(line).replace("\ufffd", " ").split()):
            yield words if len(words) <= MAX_SAID else f"{words[:MAX_SAID]}…"
