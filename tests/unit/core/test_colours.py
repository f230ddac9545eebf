"""Colours of terminals as names, which never change the text."""

import pytest

from tagboat.core.colours import TextMark, coloured
from tagboat.core.harmless import harmless


def looks(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The parts of the text that have a look."""
    shown, marks = coloured(text)
    return [(shown[mark.start : mark.end], mark.looks) for mark in marks]


def test_a_plain_line_has_no_marks() -> None:
    assert coloured("plain [31m") == ("plain [31m", ())


def test_a_colour_lasts_until_it_is_reset() -> None:
    assert coloured("a \x1b[31mred\x1b[0m b") == ("a red b", (TextMark(2, 5, ("red",)),))
    assert looks("\x1b[31mred\x1b[mplain") == [("red", ("red",))]
    assert looks("\x1b[31mred\x1b[39mplain") == [("red", ("red",))]
    assert looks("\x1b[31mto the end") == [("to the end", ("red",))]


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        ("1;4;93", ("bold", "underline", "bright-yellow")),
        ("97;41", ("bright-white", "on-red")),
        ("38;5;1", ("red",)),
        ("38;5;12", ("bright-blue",)),
        ("48;5;196", ("on-bright-red",)),
        ("38;5;22", ("green",)),
        ("38;5;232", ("black",)),
        ("38;2;255;0;255", ("bright-magenta",)),
        ("38:5:2", ("green",)),
        ("3;9;7;2", ("italic", "struck", "inverse", "dim")),
    ],
)
def test_looks_have_names(codes: str, names: tuple[str, ...]) -> None:
    assert looks(f"\x1b[{codes}mx") == [("x", names)]


@pytest.mark.parametrize(
    "codes", ["38;5;999", "38;2;1;2", "38", "5", "58;5;1", "38;2;300;0;0", ";" * 400, "9" * 300]
)
def test_what_is_no_colour_is_no_look(codes: str) -> None:
    assert looks(f"\x1b[{codes}mx") == []


def test_styles_end_one_by_one() -> None:
    assert looks("\x1b[1;31ma\x1b[22mb\x1b[4mc\x1b[24md") == [
        ("a", ("bold", "red")),
        ("b", ("red",)),
        ("c", ("red", "underline")),
        ("d", ("red",)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31m50 %\r\x1b[0m100 %\r",
        "\x1b[32m\x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[0m",
        "\x1b[31\x1b[0m",
        "a\x1b\x1b[31mb\x00",
        "\x1b[31m\u202eabc\x1b[2K",
        "\x1b]0;\x1b[31mtitle\x07rest",
    ],
)
def test_the_text_is_that_without_sequences(text: str) -> None:
    shown, marks = coloured(text)
    assert shown == harmless(text)
    assert all(0 <= mark.start < mark.end <= len(shown) for mark in marks)


def test_a_line_with_many_colours_is_read_at_once() -> None:
    text = "\x1b[31mx" * 1000
    assert len(coloured(text)[1]) == 1000
