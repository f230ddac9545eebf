"""Lines of logs as pages show them."""

from datetime import UTC, datetime

from tagboat.core.colours import TextMark
from tagboat.core.workload import LogLine
from tagboat.operations.live_logs import LogPart
from tagboat.web.log_words import (
    LINES_SHOWN,
    LogText,
    as_file,
    clock_time,
    event_data,
    log_excerpt,
    log_texts,
)

AT = datetime(2026, 5, 1, 12, 0, 7, 5123, tzinfo=UTC)


def numbered(count: int) -> list[LogLine]:
    return [LogLine(f"line {number}") for number in range(count)]


def test_a_line_is_cut_where_its_colour_changes() -> None:
    marks = (TextMark(2, 4, ("bold", "red")), TextMark(4, 5, ("green",)))
    assert list(log_texts("a bcd e", marks)) == [
        LogText("a ", ""),
        LogText("bc", "a-bold a-red"),
        LogText("d", "a-green"),
        LogText(" e", ""),
    ]
    assert list(log_texts("", ())) == []


def test_times() -> None:
    assert clock_time(AT) == "12:00:07.005"
    assert clock_time(None) == ""


def test_an_event_is_a_line_or_a_sentence() -> None:
    line = LogPart("a", AT, "18ec", (TextMark(0, 1, ("red",)),))
    assert event_data(line) == {"at": "2026-05-01T12:00:07.005123Z", "texts": [["a", "a-red"]]}
    assert event_data(LogPart("v2 is live")) == {"note": "v2 is live"}


def test_pages_go_back_from_the_end() -> None:
    lines = numbered(450)
    last = log_excerpt(lines, "", 0, 10_000)
    assert (last.lines[0].text, last.lines[-1].text) == ("line 250", "line 449")
    assert (last.earlier, last.later, last.found) == (LINES_SHOWN, None, None)
    first = log_excerpt(lines, "", 400, 10_000)
    assert (first.lines[0].text, len(first.lines)) == ("line 0", 50)
    assert (first.earlier, first.later) == (None, 200)
    assert log_excerpt(lines, "", 9_900, 10_000).lines == []
    # Nothing is read from beyond the limit.
    assert log_excerpt(lines, "", 200, 400).earlier is None


def test_a_search_shows_the_lines_that_match() -> None:
    found = log_excerpt(
        [LogLine("An Error"), LogLine("fine"), LogLine("ERROR")], "error", 0, 10_000
    )
    assert ([line.text for line in found.lines], found.found) == (["An Error", "ERROR"], 2)


def test_a_file_has_times_where_they_are_known() -> None:
    assert as_file([LogLine("a", AT), LogLine("b")]) == "2026-05-01T12:00:07.005123Z a\nb\n"
