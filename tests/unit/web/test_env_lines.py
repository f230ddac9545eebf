import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.web.env_lines import env_names, parse_env_lines


def test_lines() -> None:
    text = "A=1\r\n\n# no\n B = x=y \nC=\n"
    assert parse_env_lines(text) == {"A": "1", "B": " x=y ", "C": ""}
    assert parse_env_lines("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nB", "line 2 is not NAME=VALUE"),
        ("=x", "line 1 is not NAME=VALUE"),
        ("A=1\nA=2", "A is there twice, in line 2 again"),
        ("A=" + "x" * 32_769, "the value of A is over 32768 characters"),
        ("\n".join(f"A{number}=" for number in range(201)), "at most 200 variables are allowed"),
        ("A" * 256 + "=1", "the name in line 1 is over 255 characters"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        parse_env_lines(text)


def test_names_of_an_image() -> None:
    assert env_names(["PATH=/bin", "NODE_ENV=production", "", "LANG"]) == ("NODE_ENV", "LANG")
