"""Settings as texts in forms."""

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.web import setting_texts as texts


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"LOG_LEVEL": "warning", "EMPTY": "", "URL": "https://a.example/?b=c#d"},
        {"LINES": "one\ntwo\r\nthree", "BLANKS": "  both sides ", "QUOTED": '"already"'},
        {"#hash": "#value", '"name"': "x", " blank ": "y", "back\\slash": "a\\b"},
        {"arabic": "مرحبا", "separator": "a\u2028b", "tab": "\tx"},
    ],
)
def test_a_map_comes_back_as_it_was(values: dict[str, str]) -> None:
    shown = texts.show_map(values)
    assert texts.read_map(shown) == values
    # Browsers send CRLF, and trim nothing.
    assert texts.read_map(shown.replace("\n", "\r\n")) == values


def test_a_pasted_file_of_variables_is_read() -> None:
    pasted = "# database\nDB=postgres://x\n\n  NAME = with blanks  \n"
    assert texts.read_map(pasted) == {"DB": "postgres://x", "NAME": "with blanks"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nnonsense", "line 2 is not NAME=VALUE"),
        ("=1", "line 1 is not NAME=VALUE"),
        ("A=1\nA=2", "line 2 has A a second time"),
        ('A="1', "line 1 has a quote"),
        ('"A=1', "line 1 has a quote"),
    ],
)
def test_lines_that_cannot_be_read_are_named(text: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        texts.read_map(text)


@pytest.mark.parametrize(
    "words", [(), ("serve", "--port", "8080"), ("sh", "-c", "echo 'a b'"), ("", "x\ny"), ("image",)]
)
def test_a_command_line_comes_back_as_it_was(words: tuple[str, ...]) -> None:
    assert texts.read_entrypoint(texts.show_words(words)) == list(words)


def test_the_entrypoint_of_the_image_is_a_word_of_its_own() -> None:
    assert texts.show_words("image") == "image"
    assert texts.read_entrypoint("image") == "image"


def test_a_quote_that_does_not_end_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="quote"):
        texts.read_words("echo 'a")


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, ""), (512 << 20, "512m"), (3 << 29, "1536m"), (1000, "1000")]
)
def test_amounts_are_shown_in_the_largest_exact_unit(amount: int, shown: str) -> None:
    assert texts.show_amount(amount) == shown


def test_numbers_are_read_strictly() -> None:
    assert texts.read_whole("-5") == -5
    assert texts.read_number("0.5") == 0.5
    assert (texts.show_number(None), texts.show_number(0), texts.show_nonzero(0.0)) == ("", "0", "")
    for text in ("", "1.5", "٣", "1e3", "9" * 30):
        with pytest.raises(InvalidValueError):
            texts.read_whole(text)
    for text in ("", "nan", "-1", "1,5"):
        with pytest.raises(InvalidValueError):
            texts.read_number(text)


def test_a_switch_has_three_positions() -> None:
    assert [texts.read_switch(texts.show_switch(one)) for one in (True, False, None)] == [
        True,
        False,
        None,
    ]
    with pytest.raises(InvalidValueError):
        texts.read_switch("perhaps")
