"""Showing results: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from shutil import get_terminal_size
from textwrap import wrap

from tagboat.core.harmless import harmless

_UNCUT = 100_000
"""The width of a table that is not for a terminal."""

_LEAST_PROSE = 30
"""Columns of a terminal that prose needs beside its row."""

_GAP = 2
_INDENT = "    "
_NOTHING = "-"


def as_json(value: object) -> None:
    """Print one JSON document."""
    line(json.dumps(value, indent=2))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, columns_at_most: int = _UNCUT
) -> None:
    """Print a table: nothing is ever cut, and no name folded.

    Its last column is for prose: folded to fit a terminal, and below its row where little room is left. Where the result goes
    elsewhere, every row is one line, unless it would be longer than `columns_at_most`.
    """
    cells = [tuple(columns), *(tuple(map(_cell, row)) for row in rows)]
    room = min(_room(), columns_at_most)
    layout = _layout(cells, room)
    head, *body = map(layout.lines, cells)
    rule = "-" * min(room, max(len(text) for text in chain(head, *body)))
    line("\n".join(text.rstrip() for text in chain(head, [rule], *body)))


def line(text: str) -> None:
    """Print a line of the result, or several, without what would steer a terminal."""
    print(harmless(text), flush=True)  # noqa: T201 - what the command is for


def progress(text: str) -> None:
    """Say on stderr how long work is getting on, as `line` does."""
    print(harmless(text), file=sys.stderr, flush=True)  # noqa: T201 - for the person who waits


def short(digest: str | None) -> str:
    """A digest as people tell it from others: its first twelve digits."""
    return digest.removeprefix("sha256:")[:12] if digest else ""


def when(time: str | None) -> str:
    """A time of the API to the second, in UTC; empty for None."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if time else ""


def _cell(value: object) -> str:
    """One line; what would steer a terminal, and may be what a sender wrote, is shown as `?`."""
    text = "" if value is None else " ".join(str(value).split())
    return "".join(char if char.isprintable() else "?" for char in text) or _NOTHING


def _room() -> int:
    return get_terminal_size().columns if sys.stdout.isatty() else _UNCUT


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide each column of names is, and the prose; `beside` is whether that is beside the names, or below them."""

    names: Sequence[int]
    prose: int
    beside: bool

    def lines(self, row: Sequence[str]) -> list[str]:
        """The lines of a row."""
        *names, prose = row
        begin = "".join(_padded(name, width) for name, width in zip(names, self.names, strict=True))
        folded = wrap(prose, self.prose, break_long_words=False, break_on_hyphens=False)
        if not self.beside:
            return [begin, *(_INDENT + part for part in folded if prose != _NOTHING)]
        first, *more = folded or [""]
        return [begin + first, *(_padded("", sum(self.names)) + part for part in more)]


def _layout(cells: Sequence[Sequence[str]], room: int) -> _Layout:
    *names, prose = (max(map(_width, column)) for column in zip(*cells, strict=True))
    names = [width + _GAP for width in names]
    left = room - sum(names)
    beside = left >= min(prose, _LEAST_PROSE)
    return _Layout(names, left if beside else max(room - len(_INDENT), _LEAST_PROSE), beside)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)
