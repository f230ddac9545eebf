"""Logging: structlog for Tagboat's own lines, the same pipeline for the standard library's.

A line has `timestamp` (RFC 3339, UTC), `level`, `logger`, `event` and the caller's fields. Callers
must not log secrets; the masks here are the last protection.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from tagboat.log_processors import (
    add_timestamp,
    console_renderer,
    masked,
    quoted,
    render_json,
    timestamp_now,
    to_plain_values,
)
from tagboat.settings import LogFormat

Write = Callable[[str], None]

# Seconds. One write for many lines costs little; a person following the log does not notice.
_GATHER_S = 0.05


def configure_logging(log_format: LogFormat, level: int, stream: TextIO) -> "LogCall":
    """Send each line of at least `level` (a number of `logging`) to `stream`.

    Another call replaces the earlier one. Get loggers by `structlog.get_logger("tagboat.ROOM")`;
    the returned function writes the lines of the access log.
    """
    lines = _Stream(stream)
    write = lines.write
    shared: list[Processor] = [
        add_timestamp,
        structlog.processors.format_exc_info,
        to_plain_values,
        masked(
            render_json
            if log_format is LogFormat.JSON
            else console_renderer(colors=stream.isatty())
        ),
    ]

    def add_name(logger: _Lines, _method: str, event: EventDict) -> EventDict:
        event["logger"] = logger.name
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            add_name,
            *shared,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="tagboat": _Lines(write, name),
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib(_StdlibLines(write, shared), level)
    if level > logging.INFO:
        return lambda *_of_call: None
    return _GatheredCalls(lines) if log_format is LogFormat.JSON else _log_call


LogCall = Callable[[str, str, int, float, str, str], None]
"""Writes one access line.

Method, path, status (0: the caller disconnected), milliseconds, client address, request id.
"""


def _log_call(method: str, path: str, status: int, ms: float, client: str, request_id: str) -> None:
    structlog.get_logger("tagboat.access").info(
        "call",
        method=method,
        path=path,
        status=status,
        ms=round(ms, 1),
        client=client,
        request_id=request_id,
    )


class _GatheredCalls:
    """Access log lines as JSON, formatted directly and written together.

    Each webhook call writes one, so structlog's pipeline would be too slow.
    """

    def __init__(self, lines: "_Stream") -> None:
        self._lines = lines
        self._due = False

    def __call__(
        self, method: str, path: str, status: int, ms: float, client: str, request_id: str
    ) -> None:
        self._lines.gather(
            f'{{"timestamp":"{timestamp_now()}",'
            f'{_call_fields(method, path, status)},"ms":{ms:.1f},'
            f'"client":{_quoted_client(client)},"request_id":{quoted(request_id)}}}'
        )
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_GATHER_S, self._flush)

    def _flush(self) -> None:
        self._due = False
        self._lines.flush()


@lru_cache(maxsize=256)
def _call_fields(method: str, path: str, status: int) -> str:
    fields = f'"method":{quoted(method)},"path":{quoted(path)},"status":{status}'
    return f'"level":"info","logger":"tagboat.access","event":"call",{fields}'


_quoted_client = lru_cache(maxsize=1024)(quoted)


class _Lines:
    """The logger that structlog calls with the finished line, by a method for each level."""

    __slots__ = ("critical", "debug", "error", "info", "name", "warning")

    def __init__(self, write: Write, name: str) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = write


class _StdlibLines(logging.Handler):
    """A handler that sends the standard library's records through the same pipeline."""

    def __init__(self, write: Write, processors: list[Processor]) -> None:
        super().__init__()
        self._write = write
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        # uvicorn reports all requests that a stop interrupts in one line before these.
        if (
            record.name == "uvicorn.error"
            and record.exc_info is not None
            and record.exc_info[0] is asyncio.CancelledError
        ):
            return
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # A library's mistake in its format string: the bare text is better than no line.
            message = str(record.msg)
        line: Any = {
            "event": message,
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.exc_info:
            line["exc_info"] = record.exc_info
        for process in self._processors:
            line = process(None, "", line)
        self._write(line)


def _take_over_stdlib(handler: _StdlibLines, level: int) -> None:
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _StdlibLines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # uvicorn adds its own handlers if it is started first.
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    logging.captureWarnings(capture=True)


class _Stream:
    """The output of the lines.

    A log that cannot be written (closed pipe, full disk) must not make the logged work fail.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._gathered: list[str] = []

    def gather(self, line: str) -> None:
        """Keep `line` until the next `write` or `flush`."""
        self._gathered.append(line)

    def write(self, line: str) -> None:
        """Write `line` now, after the gathered lines."""
        self._gathered.append(line)
        self.flush()

    def flush(self) -> None:
        """Write the gathered lines."""
        # One write for all, so that lines of other processes on the same pipe cannot split them.
        try:
            with self._lock:
                lines, self._gathered = self._gathered, []
                if lines:
                    self._stream.write("\n".join(lines) + "\n")
                    self._stream.flush()
        except (OSError, ValueError):
            pass
