"""Showing results: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

_UNCUT = 100_000
"""The width of a table that is not for a terminal: every row is one line."""


def as_json(value: object) -> None:
    """Print one JSON document."""
    line(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table. Its last column is for prose, and folded to fit a terminal; nothing is ever cut, and no name folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns, start=1):
        drawn.add_column(column, overflow="fold", no_wrap=number < len(columns))
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    console = Console(markup=False, highlight=False, emoji=False)
    least = console.measure(drawn, options=console.options.update(width=_UNCUT)).minimum
    console.width = max(console.width, least) if sys.stdout.isatty() else _UNCUT
    with console.capture() as captured:
        console.print(drawn)
    line("\n".join(text.rstrip() for text in captured.get().splitlines()))


def line(text: str) -> None:
    """Print a line of the result."""
    print(text, flush=True)  # noqa: T201 - what the command is for


def progress(text: str) -> None:
    """Say on stderr how long work is getting on."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person who waits


def short(digest: str | None) -> str:
    """A digest as people tell it from others: its first twelve digits."""
    return digest.removeprefix("sha256:")[:12] if digest else ""


def when(time: str | None) -> str:
    """A time of the API to the second, in UTC; empty for None."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if time else ""


def _cell(value: object) -> str:
    return "-" if value is None else " ".join(str(value).split()) or "-"
