"""Logging: structlog for Tagboat's own lines, the same pipeline for the standard library's.

A line has `timestamp` (RFC 3339, UTC), `level`, `logger`, `event` and the caller's fields. Callers
must not log secrets; the masks here are the last protection.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from tagboat.core.masking import MASK, mask_webhook_secrets
from tagboat.settings import LogFormat

Write = Callable[[str], None]

_SENSITIVE = ("password", "passwd", "token", "secret", "authorization")
_URL_PASSWORD = re.compile(r"(://[^/?#@:\s\"']*:)[^/?#@\s\"']+@")
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_CONTROLS_BUT_NEWLINE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_MANY_LINES = ("exception", "stack")
_GATHER_S = 0.05
_encode = msgspec.json.Encoder().encode


def configure_logging(log_format: LogFormat, level: int, stream: TextIO) -> "LogCall":
    """Send each line of at least `level` (a number of `logging`) to `stream`.

    Another call replaces the earlier one. Get loggers by `structlog.get_logger("tagboat.ROOM")`;
    the returned function writes the lines of the access log.
    """
    lines = _Stream(stream)
    write = lines.write
    shared: list[Processor] = [
        _add_timestamp,
        structlog.processors.format_exc_info,
        _to_plain_values,
        _mask_line(
            _render_json
            if log_format is LogFormat.JSON
            else _console_renderer(colors=stream.isatty())
        ),
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_name,
            *shared,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="tagboat": _Lines(write, name),
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib(_StdlibLines(write, shared), level)
    if level > logging.INFO:
        return lambda _method, _path, _status, _ms: None
    return _GatheredCalls(lines) if log_format is LogFormat.JSON else _log_call


LogCall = Callable[[str, str, int, float], None]
"""Writes one access line: method, path, status (0: the caller disconnected), milliseconds."""


def _log_call(method: str, path: str, status: int, ms: float) -> None:
    structlog.get_logger("tagboat.access").info(
        "call", method=method, path=path, status=status, ms=round(ms, 1)
    )


class _GatheredCalls:
    """Access log lines as JSON, formatted directly and written together.

    Each webhook call writes one, so structlog's pipeline would be too slow.
    """

    def __init__(self, lines: "_Stream") -> None:
        self._lines = lines
        self._due = False

    def __call__(self, method: str, path: str, status: int, ms: float) -> None:
        self._lines.gather(
            f'{{"timestamp":"{_now()}",{_call_fields(method, path, status)},"ms":{ms:.1f}}}'
        )
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_GATHER_S, self._flush)

    def _flush(self) -> None:
        self._due = False
        self._lines.flush()


@lru_cache(maxsize=256)
def _call_fields(method: str, path: str, status: int) -> str:
    fields = f'"method":{_quoted(method)},"path":{_quoted(path)},"status":{status}'
    return f'"level":"info","logger":"tagboat.access","event":"call",{fields}'


def _quoted(text: str) -> str:
    text = mask_webhook_secrets(text)
    try:
        return _encode(text).decode()
    except ValueError:
        # A lone surrogate.
        return _encode(ascii(text)).decode()


def _now() -> str:
    second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{nanosecond // 1000:06}Z"


@lru_cache(maxsize=4)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


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


def _add_name(logger: _Lines, _method: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _add_timestamp(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = _now()
    return event


def _to_plain_values(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Convert each value to JSON types by its `str`.

    So a field that is excluded from a repr stays out of the log.
    """
    for key, value in event.items():
        if type(value) not in _PLAIN_TYPES or _is_sensitive(key):
            event[key] = _to_plain(key, value)
    return event


def _to_plain(key: object, value: object) -> object:
    if _is_sensitive(str(key)) and value is not None and not isinstance(value, bool):
        return MASK
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, Mapping):
        return {str(inner): _to_plain(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_plain("", item) for item in value]
    return repr(value) if isinstance(value, BaseException) else str(value)


@lru_cache(maxsize=1024)
def _is_sensitive(key: str) -> bool:
    lowered = key.lower()
    return any(word in lowered for word in _SENSITIVE)


def _render_json(_logger: object, _method: str, event: EventDict) -> str:
    line = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event")}
    line.update(event)
    try:
        return _encode(line).decode()
    except (ValueError, OverflowError):
        # A lone surrogate or an integer beyond 64 bits.
        return _encode(
            {
                ascii(key)[1:-1]: value if key == "level" else ascii(value)
                for key, value in line.items()
            }
        ).decode()


def _console_renderer(*, colors: bool) -> Callable[[object, str, EventDict], str]:
    # The plain traceback, because the pretty one prints local variables, secrets included.
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: object, method: str, event: EventDict) -> str:
        for key, value in event.items():
            if isinstance(value, str):
                controls = _CONTROLS_BUT_NEWLINE if key in _MANY_LINES else _CONTROLS
                # Spelt out: they would move a terminal's cursor or reorder its text.
                event[key] = controls.sub(lambda match: ascii(match[0])[1:-1], value)
        return renderer(logger, method, event)

    return render


def _mask_line(render: Callable[[object, str, EventDict], str]) -> Processor:
    """Mask secrets in the finished line, when nested and quoted values are text."""

    def render_masked(logger: object, method: str, event: EventDict) -> str:
        text = mask_webhook_secrets(render(logger, method, event))
        if "://" in text and "@" in text:
            text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
        return text

    return render_masked
