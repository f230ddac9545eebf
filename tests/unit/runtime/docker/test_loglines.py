import struct
from datetime import UTC, datetime

import pytest

from tagboat.core.harmless import harmless
from tagboat.core.workload import LogLine
from tagboat.runtime.docker.loglines import (
    MAX_LINE_BYTES,
    MAX_TOTAL_BYTES,
    LineReader,
    LogTail,
    engine_time,
    nanoseconds,
)


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def read(
    data: bytes, *, tail: int = 100, multiplexed: bool = True, step: int = 1 << 16
) -> list[str]:
    reader, log = LineReader(multiplexed=multiplexed), LogTail(tail)
    for start in range(0, len(data), step):
        log.add(reader.feed(data[start : start + step]))
    log.add(reader.rest())
    return [line.text for line in log.lines()]


STREAM = frame(1, b"one\n") + frame(2, b"two\n") + frame(1, b"") + frame(1, "grüße\nfour".encode())


@pytest.mark.parametrize("step", [1, 2, 7, 8, 9, 1000])
def test_frames_are_put_together_however_they_are_cut(step: int) -> None:
    assert read(STREAM, step=step) == ["one", "two", "grüße", "four"]


def test_a_line_in_pieces_is_one_line_though_errors_come_between() -> None:
    assert read(frame(1, b"first half, ") + frame(2, b"error\n") + frame(1, b"second half\n")) == [
        "error",
        "first half, second half",
    ]


def test_a_terminal_gives_bare_bytes() -> None:
    assert read(b"one\r\ntwo\r\nthree", multiplexed=False) == ["one", "two", "three"]


def test_the_time_of_a_line_is_taken_off_it() -> None:
    reader = LineReader(multiplexed=False)
    lines = [
        *reader.feed(
            b"2026-11-29T05:48:16.123456789Z one\n"
            b"2026-11-29T07:48:16.12+02:00 two\n"
            b"2026-11-29T05:48:16Z\n"
            b"2026-99-99T05:48:16Z odd\n"
        ),
        *reader.rest(),
    ]
    noon = datetime(2026, 11, 29, 5, 48, 16, tzinfo=UTC)
    assert [(line.text, line.at) for line in lines] == [
        ("one", nanoseconds(noon) + 123_456_789),
        ("two", nanoseconds(noon) + 120_000_000),
        ("2026-11-29T05:48:16Z", None),
        ("2026-99-99T05:48:16Z odd", None),
    ]
    assert lines[0].as_log_line() == LogLine("one", noon.replace(microsecond=123456))
    assert engine_time(nanoseconds(noon) + 7) == f"{int(noon.timestamp())}.000000007"


def test_a_long_line_keeps_its_beginning_and_its_time() -> None:
    (line,) = LineReader(multiplexed=False).feed(b"2026-11-29T05:48:16Z " + b"x" * 5000 + b"\n")
    assert (line.text, line.at is None) == ("x" * MAX_LINE_BYTES + " … (line cut)", False)


def test_only_the_last_lines_are_kept() -> None:
    assert read(frame(1, b"".join(b"%d\n" % number for number in range(1000))), tail=3) == [
        "997",
        "998",
        "999",
    ]


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    (long, short) = read(
        b"".join(frame(1, b"x" * 16384) for _ in range(128)) + frame(1, b"\nshort\n")
    )
    assert long == "x" * MAX_LINE_BYTES + " … (line cut)"
    assert short == "short"


def test_all_lines_together_are_bounded() -> None:
    lines = read(frame(1, (b"y" * 4000 + b"\n") * 1000), tail=1000)
    assert MAX_TOTAL_BYTES - 4001 < sum(len(line) for line in lines) <= MAX_TOTAL_BYTES


def test_broken_utf8_is_replaced() -> None:
    assert read(frame(1, b"caf\xe9 \xff\n")) == ["caf\ufffd \ufffd"]


def test_blank_lines_stay() -> None:
    assert read(frame(1, b"a\n\nb\n")) == ["a", "", "b"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("50%\r100%\r", "50% 100%"),
        ("a\tb", "a\tb"),
        ("nul\x00bell\x07\x9b", "nul\ufffdbell\ufffd\ufffd"),
        ("turned\u202eround", "turned\ufffdround"),
    ],
)
def test_control_characters_are_harmless(line: str, shown: str) -> None:
    assert harmless(line) == shown
