import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.dotenv import parse_dotenv
from tagboat.core.errors import InvalidValueError


def test_each_way_to_write_a_value() -> None:
    text = (
        "\ufeff# a comment\r\n"
        "PLAIN=a value # not this\r\n"
        "\n"
        "  export EXPORTED = x#y\n"
        "SINGLE='$PLAIN # \\n'  # comment\n"
        'DOUBLE="a\\nb \\"c\\" \\$PLAIN $PLAIN"\n'
        "EMPTY=\n"
        "LINES='one\n# two'\n"
        "REFERS=${PLAIN}-${GIVEN}-${GONE:-d}\n"
        "GIVEN\n"
        "GONE\n"
        "LAST=end"
    )
    assert parse_dotenv(text, {"GIVEN": "g"}) == {
        "PLAIN": "a value",
        "EXPORTED": "x#y",
        "SINGLE": "$PLAIN # \\n",
        "DOUBLE": 'a\nb "c" $PLAIN a value',
        "EMPTY": "",
        "LINES": "one\n# two",
        "REFERS": "a value-g-d",
        "GIVEN": "g",
        "LAST": "end",
    }


def test_what_was_known_before_goes_first() -> None:
    assert parse_dotenv("A=file\nB=$A\n", {"A": "shell"}) == {"A": "file", "B": "shell"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A=1\n\n-x\n", "line 3 is not NAME=VALUE"),
        ("A=1\nB=${A\n", "line 2: '${A' has a ${ without }"),
    ],
)
def test_a_mistake_names_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_dotenv(text, {})
    assert str(caught.value) == says


@given(st.text(alphabet="AB='\"#\\ \n$x", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidValueError):
        assert all(parse_dotenv(text, {}))
