"""`python -m tools.record_demo`: run the demo in a terminal, and keep what it showed as a cast.

    python -m tools.record_demo            run it; write docs/images/demo.cast and demo.svg
    python -m tools.record_demo draw       only draw demo.svg again from demo.cast

The cast is a file of asciinema's version 2. `tools/draw_cast.py` draws it.
"""

import json
import os
import pty
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from tools.draw_cast import COLUMNS, ROWS, draw

ROOT = Path(__file__).resolve().parent.parent
CAST = ROOT / "docs" / "images" / "demo.cast"
SVG = CAST.with_suffix(".svg")
_TYPED = "$ make demo\r\n"
_HOME = "/home/you/tagboat"
_LINK = re.compile(r"(/sign-in/)[\w-]+")


def record() -> str:
    """Run the demo, and end it; return its cast."""
    began, header = time.monotonic(), {"version": 2, "width": COLUMNS, "height": ROWS}
    lines = [
        json.dumps(header | {"title": "Tagboat: make demo", "env": {"TERM": "xterm-256color"}})
    ]
    lines += [json.dumps([0.0, "o", _TYPED])]
    try:
        for text in terminal_lines([sys.executable, "-m", "demo"]):
            lines.append(
                json.dumps([round(time.monotonic() - began, 3), "o", without_places(text)])
            )
    finally:
        subprocess.run([sys.executable, "-m", "demo", "stop"], cwd=ROOT, check=True)
    return "\n".join(lines) + "\n"


def terminal_lines(command: list[str]) -> Iterator[str]:
    """Yield each line that the command writes to its terminal; raise CalledProcessError."""
    mine, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    with open(mine, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        left = b""
        while chunk := _read(terminal.fileno()):
            *whole, left = (left + chunk).split(b"\n")
            yield from (f"{line.decode()}\n" for line in whole)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody writes any more
        return b""


def without_places(text: str) -> str:
    """Return a line without places of this machine, and without the key of a link."""
    return _LINK.sub(r"\1…", text.replace(str(ROOT), _HOME))


if __name__ == "__main__":
    if sys.argv[1:] != ["draw"]:
        CAST.write_text(record())
    SVG.write_text(draw(CAST.read_text()))
