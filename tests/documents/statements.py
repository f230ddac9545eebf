"""The commands that a page tells its reader to type, in the order of the page."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.unit.test_docs import DOCUMENTS, ROOT
from tests.unit.test_docs_commands import fault

SYNOPSES = ROOT / "docs" / "cli.md"
"""Its tables list what commands can be given, not what a reader types one after another."""
PAGES = [path for path in DOCUMENTS if path.parent.name not in {"reference", "decisions"}]
SHELL = "sh"
FENCE = re.compile(r"^ *```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:sudo )?(?:tagboat|curl) [^`]+)`")
# A step of CI, in its own file.
_STEP = re.compile(r"^ *- run: (.+)$", re.MULTILINE)
_HEREDOC = re.compile(r"<<'?(\w+)'?$")
_SYNOPSIS = re.compile(r"[\[…]|\bready on\b")


@dataclass(frozen=True)
class Statement:
    """What is typed at once: a line, or several that belong together."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def statements(page: Path) -> list[Statement]:
    """Return the commands in a page's blocks for the shell, and the complete ones in sentences."""
    text, name = page.read_text(), str(page.relative_to(ROOT))
    found = [
        (block.start("body") + at, line)
        for block in FENCE.finditer(text)
        for at, line in _of_block(block["kind"], block["body"])
    ]
    if page != SYNOPSES:
        outside = FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)
        spans = ((span.start(1), " ".join(span[1].split())) for span in _SPAN.finditer(outside))
        found += [(at, typed) for at, typed in spans if _is_complete(typed)]
    return [Statement(name, text.count("\n", 0, at) + 1, typed) for at, typed in sorted(found)]


def _of_block(kind: str, body: str) -> Iterator[tuple[int, str]]:
    if kind == "yaml":
        yield from ((step.start(1), step[1]) for step in _STEP.finditer(body))
    if kind != SHELL:
        return
    at, lines = 0, ""
    for line in body.splitlines(keepends=True):
        lines += line
        if _is_whole(lines):
            typed = dedent(lines).strip()
            if shlex.split(typed, comments=True):
                yield at, typed
            at, lines = at + len(lines), ""
    assert not lines, f"a command without an end: {lines}"


def _is_whole(lines: str) -> bool:
    first, _, rest = dedent(lines).partition("\n")
    if heredoc := _HEREDOC.search(first):
        return rest.endswith(f"\n{heredoc[1]}\n")
    try:
        shlex.split(lines, comments=True)
    except ValueError:
        return False
    return not lines.endswith("\\\n")


def _is_complete(typed: str) -> bool:
    """Return whether it can be typed as it is; else it is the name of a command."""
    if _SYNOPSIS.search(typed):
        return False
    program, _, rest = typed.removeprefix("sudo ").partition(" ")
    return program == "curl" or fault(shlex.split(rest)) is None
