"""Showing results: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence

WIDE = 250


def as_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - what the command is for


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; where nobody looks at a terminal it is wide, so that nothing is cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*("-" if cell in {None, ""} else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False).print(drawn)


def line(text: str) -> None:
    """Print a line of the result."""
    print(text, flush=True)  # noqa: T201 - what the command is for


def progress(text: str) -> None:
    """Say on stderr how long work is getting on."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person who waits


def short(digest: str | None) -> str:
    """A digest as people tell it from others: its first twelve digits."""
    return digest.removeprefix("sha256:")[:12] if digest else ""
