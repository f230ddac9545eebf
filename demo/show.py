"""How the demo speaks: short lines with what was done and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_TIME_COLUMN = 84


class DemoError(Exception):
    """The demo cannot go on.

    The text says what went wrong, `remedy` what the reader can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(slots=True)
class Line:
    """The text of a line that is printed once its work is done; the work may change it."""

    text: str


def title(text: str) -> None:
    """Print the heading of a part."""
    print(f"\n{text}", flush=True)


def say(text: str) -> None:
    """Print an explanation."""
    print(f"    {text}", flush=True)


def done(text: str) -> None:
    """Print what has been reached."""
    print(f"  ✓ {text}", flush=True)


@contextmanager
def doing(text: str) -> Iterator[Line]:
    """Print `text`, or the block's, with a check mark and the duration when the block succeeds."""
    line, began = Line(text), time.monotonic()
    yield line
    done(f"{line.text.ljust(_TIME_COLUMN)} {time.monotonic() - began:6.1f} s")
