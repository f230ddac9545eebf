"""Lines of logs as pages show them: text in parts, by colour, and the time of day."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.colours import TextMark
from tagboat.core.moments import written_at
from tagboat.core.workload import LogLine
from tagboat.operations.live_logs import LogPart

LINES_SHOWN = 200
"""Lines of a page without JavaScript."""


class LogText(Struct, frozen=True):
    """A part of a line; `look` are the names of its classes, empty for plain text."""

    text: str
    look: str


class LogExcerpt(Struct, frozen=True):
    """The lines of a page, oldest first.

    `earlier` and `later` are how many lines the pages before and after it skip, None where there is
    no such page. `found` is how many lines match a search, None without one.
    """

    lines: Sequence[LogLine]
    earlier: int | None = None
    later: int | None = None
    found: int | None = None


def log_texts(text: str, marks: Sequence[TextMark]) -> Iterator[LogText]:
    """Yield the parts of a line, each in one look."""
    at = 0
    for mark in marks:
        if at < mark.start:
            yield LogText(text[at : mark.start], "")
        yield LogText(text[mark.start : mark.end], " ".join(f"a-{look}" for look in mark.looks))
        at = mark.end
    if at < len(text):
        yield LogText(text[at:], "")


def clock_time(at: datetime | None) -> str:
    """Return the time of day in UTC to the millisecond, empty where it is not known."""
    return "" if at is None else f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"


def event_data(part: LogPart) -> dict[str, object]:
    """Return a line, or a sentence about the log, as the page's script reads it."""
    if part.instance is None:
        return {"note": part.text}
    return line_data(LogLine(part.text, part.at, part.marks))


def line_data(line: LogLine) -> dict[str, object]:
    """Return a line as the page's script reads it."""
    texts = [[one.text, one.look] for one in log_texts(line.text, line.marks)]
    return {"at": written_at(line.at) if line.at else None, "texts": texts}


def log_excerpt(lines: Sequence[LogLine], searched: str, skipped: int, most: int) -> LogExcerpt:
    """Return the page of lines that contain `searched`, without the last `skipped` of them.

    `lines` are the last ones of a log, at most `most`.
    """
    wanted = searched.casefold()
    found = [line for line in lines if wanted in line.text.casefold()] if wanted else lines
    end = max(0, len(found) - skipped)
    start = max(0, end - LINES_SHOWN)
    # Without a search only as many were read as are shown, and one more if there are earlier ones.
    earlier = skipped + LINES_SHOWN if start > 0 and skipped + LINES_SHOWN < most else None
    return LogExcerpt(
        found[start:end],
        earlier,
        max(0, skipped - LINES_SHOWN) if skipped else None,
        len(found) if wanted else None,
    )


def as_file(lines: Sequence[LogLine]) -> str:
    """Return lines as the text of a file, each with its time in front where it is known."""
    return "".join(
        f"{written_at(line.at)} {line.text}\n" if line.at else f"{line.text}\n" for line in lines
    )
