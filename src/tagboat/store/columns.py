"""Column types: how the values in `tagboat.core` become what a database holds, and back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from tagboat.core.audit import FieldChange
from tagboat.core.deploy import PENDING_STEPS, Step, StepName, StepStatus
from tagboat.core.endpoint import Endpoint
from tagboat.core.image import ImageName
from tagboat.core.push import PushVerdict
from tagboat.core.tags import parse_tag_pattern

_Processor = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STEP_NAMES = tuple(StepName)
_decode_known_steps = msgspec.json.Decoder(tuple[Step, ...]).decode


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as microseconds since 1970: every database orders these alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Return the microseconds of a time."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Return the time of so many microseconds."""
        return _instant(value)

    def result_processor(self, _dialect: Dialect, _kind: object) -> _Processor:
        """Return what makes a time of a column's value."""
        return _instant


class Coded(TypeDecorator[object]):
    """A value kept as text, by a pair of functions."""

    impl = Text
    cache_ok = True

    def __init__(self, encode: Callable[[Any], str], decode: Callable[[str], object]) -> None:
        super().__init__()
        self.encode = encode
        self.decode = decode

    def process_bind_param(self, value: object, _dialect: Dialect) -> str | None:
        """Return the text of a value."""
        return None if value is None else self.encode(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> object:
        """Return the value of a text."""
        return None if value is None else self.decode(value)

    def result_processor(self, _dialect: Dialect, _kind: object) -> _Processor:
        """Return what makes a value of a column's text."""
        # The members of an enumeration are few, and a look at it costs ten times as much.
        decode = lru_cache(self.decode) if isinstance(self.decode, type) else self.decode
        # SQLAlchemy's own is two calls more for each value, of which a page reads thousands.
        return lambda text: None if text is None else decode(text)


def _instant(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def to_json(value: object) -> str:
    """Return a value of msgspec's kinds as JSON."""
    return msgspec.json.encode(value).decode()


_PENDING = to_json(PENDING_STEPS)


def _encode_steps(steps: object) -> str:
    # The webhook path writes no steps but these, and encoding them would be its dearest part.
    return _PENDING if steps is PENDING_STEPS else to_json(steps)


def _decode_steps(text: str) -> tuple[Step, ...]:
    known = _decode_known_steps(text)
    if tuple([step.name for step in known]) == _STEP_NAMES:
        return known
    # A deploy of an older version lacks the steps that came later: they were skipped.
    steps = {step.name: step for step in known}
    return tuple(steps.get(name) or Step(name, StepStatus.SKIPPED) for name in _STEP_NAMES)


JSON = Coded(to_json, msgspec.json.decode)
JSON_TUPLE = Coded(to_json, lambda text: tuple(msgspec.json.decode(text)))
ENDPOINTS = Coded(to_json, msgspec.json.Decoder(tuple[Endpoint, ...]).decode)
# Not parsed: it was when it came in, and this is done for every row.
IMAGE = Coded(str, lambda text: ImageName(*text.split("/", 1)))
# Patterns are compiled when they are parsed, and every poll reads those of all stages.
PATTERN = Coded(lambda pattern: str(pattern.text), lru_cache(1024)(parse_tag_pattern))
STEPS = Coded(_encode_steps, _decode_steps)
VERDICT = Coded(to_json, msgspec.json.Decoder(PushVerdict).decode)
CHANGES = Coded(
    lambda changes: to_json(changes) if changes else "[]",
    msgspec.json.Decoder(tuple[FieldChange, ...]).decode,
)
