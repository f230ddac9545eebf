"""RE2 patterns: the whole tag, never a hang, never a word on stderr."""

import pytest

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.regex import parse_regex


@pytest.mark.parametrize(
    ("expression", "tag", "expected"),
    [
        (r"v\d+", "v12", True),
        (r"v\d+", "v12-rc", False),
        (r"v\d+", "xv12", False),
        ("a|ab", "ab", True),
        ("(a)(b)?", "a", True),
        ("^v1$", "v1", True),
        ("(?i)v1", "V1", True),
        ("v1", "v1\n", False),
        (r"\p{Greek}", "\u03b1", True),
        (".*", "v1.2.3", True),
        ("v", "\ud800", False),
    ],
)
def test_matching(expression: str, tag: str, expected: bool) -> None:
    assert parse_regex(expression).matches(tag) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "(",
        "[a-",
        "a**",
        "\\",
        r"(a)\1",
        "(?=a)",
        "(?<!a)b",
        "a{1001}",
        r"\pL{1000}",
        "((a{100}){100}){100}",
        "(" * 250,
    ],
)
def test_what_re2_refuses_is_refused_in_silence(
    expression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidTagPatternError, match="RE2"):
        parse_regex(expression)
    assert capfd.readouterr() == ("", "")


def test_empty_is_refused() -> None:
    with pytest.raises(InvalidTagPatternError, match=r"empty; write regex:\.\*"):
        parse_regex("")


def test_running_out_of_memory_in_a_match_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    pattern = parse_regex("(?:.?){1000}")
    assert pattern.matches("ab" * 64)
    assert not pattern.matches("ab" * 64 + "\n")
    assert capfd.readouterr() == ("", "")
