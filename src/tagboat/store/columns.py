"""Column types: how the values in `tagboat.core` become what a database holds, and back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from tagboat.core.deploy import PENDING_STEPS, Step, StepName, StepStatus
from tagboat.core.image import ImageName
from tagboat.core.push import PushVerdict
from tagboat.core.tags import parse_tag_pattern

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
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
        return None if value is None else _EPOCH + value * _MICROSECOND


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


def to_json(value: object) -> str:
    """Return a value of msgspec's kinds as JSON."""
    return msgspec.json.encode(value).decode()


_PENDING = to_json(PENDING_STEPS)


def _encode_steps(steps: object) -> str:
    # The webhook path writes no steps but these, and encoding them would be its dearest part.
    return _PENDING if steps is PENDING_STEPS else to_json(steps)


def _decode_steps(text: str) -> tuple[Step, ...]:
    # A deploy of an older version lacks the steps that came later: they were skipped.
    steps = {step.name: step for step in _decode_known_steps(text)}
    return tuple(steps.get(name) or Step(name, StepStatus.SKIPPED) for name in StepName)


JSON = Coded(to_json, msgspec.json.decode)
JSON_TUPLE = Coded(to_json, lambda text: tuple(msgspec.json.decode(text)))
# Not parsed: it was when it came in, and this is done for every row.
IMAGE = Coded(str, lambda text: ImageName(*text.split("/", 1)))
# Patterns are compiled when they are parsed, and every poll reads those of all stages.
PATTERN = Coded(lambda pattern: str(pattern.text), lru_cache(1024)(parse_tag_pattern))
STEPS = Coded(_encode_steps, _decode_steps)
VERDICT = Coded(to_json, msgspec.json.Decoder(PushVerdict).decode)
