"""The last lines of a container's log, out of the engine's byte stream, in bounded memory.

Without a terminal the stream is multiplexed: frames of an 8-byte header (stream number, three zero
bytes, length as a big-endian 32-bit number) and data (Docker Engine API, "Attach to a container").
With a terminal it is the bare output.
"""

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tagboat.core.harmless import harmless

# Limits, because an app may write lines of any length, or never end one.
MAX_LINE_BYTES = 4096
MAX_TOTAL_BYTES = 1 << 20
MAX_SAID = 160
"""Characters of a line that becomes part of a sentence."""

_FRAME_HEADER = struct.Struct(">BxxxL")


@dataclass(slots=True)
class _Line:
    """The beginning of a line whose end has not come yet; `cut` once it has grown too long."""

    data: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def extend(self, part: bytes) -> None:
        room = MAX_LINE_BYTES - len(self.data)
        self.data += part[:room]
        self.cut = self.cut or len(part) > room


class LogTail:
    """Keeps the last `tail` lines of what it is fed, at most MAX_TOTAL_BYTES together."""

    def __init__(self, tail: int, *, multiplexed: bool) -> None:
        self._tail = tail
        self._multiplexed = multiplexed
        self._pending = bytearray()
        self._stream, self._left = 0, 0
        # By stream: output and errors may come in between two parts of one line.
        self._open: dict[int, _Line] = {}
        self._done: deque[str] = deque()
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        for stream, data in self._frames(chunk) if self._multiplexed else [(0, chunk)]:
            *ends, rest = data.split(b"\n")
            for end in ends:
                self._line(stream).extend(end)
                self._finish(stream)
            if rest:
                self._line(stream).extend(rest)

    def lines(self) -> list[str]:
        """Return the last lines; one whose end has not been written yet counts as a line."""
        for stream in list(self._open):
            self._finish(stream)
        return list(self._done)

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

    def _finish(self, stream: int) -> None:
        line = self._open.pop(stream)
        mark = " … (line cut)" if line.cut else ""
        text = harmless(line.data.decode(errors="replace")) + mark
        self._done.append(text)
        self._size += len(text.encode())
        while len(self._done) > self._tail or self._size > MAX_TOTAL_BYTES:
            self._size -= len(self._done.popleft().encode())


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
