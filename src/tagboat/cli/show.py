"""Output of commands: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain
from shutil import get_terminal_size
from textwrap import wrap

from tagboat.core.harmless import harmless

# Width of a table that does not go to a terminal.
_UNLIMITED = 100_000
# Columns that prose needs to stand next to the other columns.
_MIN_PROSE = 30
_GAP = 2
_INDENT = "    "
_EMPTY_CELL = "-"


def as_json(value: object) -> None:
    """Print one JSON document."""
    line(json.dumps(value, indent=2))


def compact(value: object) -> str:
    """Return a JSON value on one line."""
    return json.dumps(value, ensure_ascii=False)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, max_width: int = _UNLIMITED
) -> None:
    """Print a table. Nothing is cut, and only the last column, which is prose, is folded.

    On a terminal the prose is folded to the width, and stands below its row if less than 30
    columns are left for it. Columns that do not fit become part of it, each with its name.
    Elsewhere each row is one line, unless longer than `max_width`.
    """
    cells = [tuple(columns), *(tuple(map(_format_cell, row)) for row in rows)]
    # A file or a pipe has no width: each row stays one line for grep.
    width = get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED
    width = min(width, max_width)
    cells = _move_wide_columns(cells, width)
    *names, prose = _column_widths(cells)
    names = [name + _GAP for name in names]
    left = width - sum(names)
    is_below = left < min(prose, _MIN_PROSE)
    if is_below:
        left = max(width - len(_INDENT), _MIN_PROSE)
    head, *body = (_fold_row(row, names, left, is_below=is_below) for row in cells)
    rule = "-" * min(width, max(len(text) for text in chain(head, *body)))
    line("\n".join(text.rstrip() for text in chain(head, [rule], *body)))


def _move_wide_columns(cells: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Return the rows with the columns that do not fit moved into the last one, by name."""
    *names, _ = _column_widths(cells)
    ends = accumulate(name + _GAP for name in names)
    # The first column says what the row is about, however narrow the terminal.
    fitting = max(sum(end - _GAP <= width for end in ends), 1)
    if fitting >= len(names):
        return cells
    head, *body = cells
    rows = [(*head[:fitting], "")]
    for row in body:
        moved = zip(head[fitting:], row[fitting:], strict=True)
        named = [f"{name}: {cell}" for name, cell in moved if cell != _EMPTY_CELL]
        rows.append((*row[:fitting], ", ".join(named) or _EMPTY_CELL))
    return rows


def _column_widths(cells: Iterable[Sequence[str]]) -> Iterator[int]:
    return (max(map(_display_width, column)) for column in zip(*cells, strict=True))


def _fold_row(
    row: Sequence[str], widths: Sequence[int], prose_width: int, *, is_below: bool
) -> list[str]:
    """Return the lines of a row, whose prose stands below the names or next to them."""
    *names, prose = row
    begin = "".join(
        name + " " * (width - _display_width(name))
        for name, width in zip(names, widths, strict=True)
    )
    # Breaking a long word would cut an URL or a digest that somebody wants to copy.
    folded = wrap(prose, prose_width, break_long_words=False, break_on_hyphens=False)
    if is_below:
        return [begin, *(_INDENT + part for part in folded if prose != _EMPTY_CELL)]
    first, *more = folded or [""]
    return [begin + first, *(" " * sum(widths) + part for part in more)]


def line(text: str) -> None:
    """Print a line of the result, or several, without terminal control characters."""
    # Flushed, so that a program that reads through a pipe sees each line at once.
    print(harmless(text), flush=True)  # noqa: T201 - output of the command


def progress(text: str) -> None:
    """Print a line about the progress on stderr, without terminal control characters."""
    print(harmless(text), file=sys.stderr, flush=True)  # noqa: T201 - for the person who waits


def short_digest(digest: str | None) -> str:
    """Return the first twelve digits of a digest; empty for None."""
    return digest.removeprefix("sha256:")[:12] if digest else ""


def timestamp(time: str | None) -> str:
    """Return a time of the API to the second, in UTC; empty for None."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if time else ""


def _format_cell(value: object) -> str:
    text = "" if value is None else " ".join(str(value).split())
    # Senders write into these texts; control characters could steer the terminal.
    return "".join(char if char.isprintable() else "?" for char in text) or _EMPTY_CELL


def _display_width(text: str) -> int:
    # len() is wrong for characters of Asian scripts, which take two columns.
    from rich.cells import cell_len

    return cell_len(text)
