"""Processors of log lines: time, plain values, masks, and the two formats."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from tagboat.core.masking import MASK, mask_webhook_secrets

_SENSITIVE = ("password", "passwd", "token", "secret", "authorization")
_URL_PASSWORD = re.compile(r"(://[^/?#@:\s\"']*:)[^/?#@\s\"']+@")
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
# Also the marks that start a new line or change the direction of writing on a terminal.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_CONTROLS_BUT_NEWLINE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_MANY_LINES = ("exception", "stack")
_encode = msgspec.json.Encoder().encode


def quoted(text: str) -> str:
    """Return `text` as a JSON string, secrets of webhook URLs masked."""
    text = mask_webhook_secrets(text)
    try:
        return _encode(text).decode()
    except ValueError:
        # A lone surrogate.
        return _encode(ascii(text)).decode()


def timestamp_now() -> str:
    """Return the time in UTC by RFC 3339, with microseconds."""
    second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{nanosecond // 1000:06}Z"


# Many lines share a second, and strftime costs more than the rest of a line.
@lru_cache(maxsize=4)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def add_timestamp(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the time."""
    event["timestamp"] = timestamp_now()
    return event


def to_plain_values(_logger: object, _method: str, event: EventDict) -> EventDict:
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


def render_json(_logger: object, _method: str, event: EventDict) -> str:
    """Return the line as one JSON object."""
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


def console_renderer(*, colors: bool) -> Callable[[object, str, EventDict], str]:
    """Return a renderer for people."""
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


def masked(render: Callable[[object, str, EventDict], str]) -> Processor:
    """Return `render` with a mask over the finished line, in which nested values are text too."""

    def render_masked(logger: object, method: str, event: EventDict) -> str:
        text = mask_webhook_secrets(render(logger, method, event))
        if "://" in text and "@" in text:
            text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
        return text

    return render_masked
