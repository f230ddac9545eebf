"""Steps of a deploy, printed while they happen."""

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from shutil import get_terminal_size
from typing import Any

from tagboat.cli import show
from tagboat.core.harmless import harmless

# A running step takes a line of a log at most this often.
REPEAT_EVERY_S = 5.0


class StepPrinter:
    """Prints each ended step once, and how far the running one is, on stderr.

    On a terminal the line of the running step is overwritten; elsewhere it is repeated from time
    to time.
    """

    def __init__(self) -> None:
        self._ended: set[str] = set()
        self._running = ""
        self._printed_at = -REPEAT_EVERY_S
        self._on_screen = 0

    def show(self, step: Mapping[str, Any]) -> None:
        """Print a step as the API has it, if that is news."""
        # Every look at the deploy brings all its steps again.
        if step["name"] in self._ended:
            return
        if step["status"] in {"done", "failed"}:
            self._ended.add(step["name"])
            self.clear()
            show.progress(_format_step(step, step_duration(step)))
        elif step["status"] == "running":
            self._show_running(_format_step(step, ""), is_news=bool(step["detail"]))

    def show_queued(self) -> None:
        """Show on a terminal that the deploy waits for its turn."""
        self._show_running("queued: it begins when it is its turn in the stage", is_news=False)

    def _show_running(self, text: str, *, is_news: bool) -> None:
        """Show what is under way; in a log only what `is_news`."""
        if text == self._running:
            return
        if sys.stderr.isatty():
            # A line that wraps could not be overwritten.
            shown = harmless(text)[: get_terminal_size().columns - 1]
            self.clear()
            sys.stderr.write(shown)
            sys.stderr.flush()
            self._on_screen = len(shown)
        elif is_news and time.monotonic() - self._printed_at >= REPEAT_EVERY_S:
            self._printed_at = time.monotonic()
            show.progress(text)
        else:
            return
        self._running = text

    def clear(self) -> None:
        """Remove the line of the running step from the terminal."""
        if self._on_screen:
            sys.stderr.write("\r" + " " * self._on_screen + "\r")
            sys.stderr.flush()
            self._on_screen = 0
            # The next look prints the line again.
            self._running = ""


def step_duration(step: Mapping[str, Any]) -> str:
    """Return how long a step took, with the unit; empty if it has not ended."""
    if not (step["started_at"] and step["finished_at"]):
        return ""
    took = datetime.fromisoformat(step["finished_at"]) - datetime.fromisoformat(step["started_at"])
    return f"{took.total_seconds():.1f} s"


def _format_step(step: Mapping[str, Any], duration: str) -> str:
    return f"{step['name']:8}{step['status']:7}{duration:>8}  {step['detail']}".rstrip()
