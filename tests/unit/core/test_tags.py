"""Tag patterns of all kinds together, and the newest of several tags."""

import copy
import pickle
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.tags import MAX_PATTERN_LENGTH, TagPattern, parse_tag_pattern


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("v*", "v1.2.3", True),
        ("v*", "1.2.3", False),
        ("semver:^1.2", "v1.9.0", True),
        ("semver: ^1.2", "v1.9.0", True),
        ("semver:^1.2", "v2.0.0", False),
        (r"regex:v\d+", "v12", True),
        (r"regex:v\d+", "v12x", False),
        ("semver", "semver", True),
        ("regex", "regex", True),
        ("[s]emver:*", "semver:1", True),
    ],
)
def test_each_kind_is_told_by_its_prefix(text: str, tag: str, expected: bool) -> None:
    assert parse_tag_pattern(text).matches(tag) is expected


@pytest.mark.parametrize(
    "text",
    [
        "glob:v*",
        "v:1",
        "SEMVER:1.x",
        "Regex:a",
        "semver :1",
        " semver:1",
        " regex:a",
        "re2:a",
        "1.0:x",
        "a_b:",
    ],
)
def test_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(InvalidTagPatternError, match="not a kind of tag pattern"):
        parse_tag_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "semver:",
        "semver: ",
        "regex:",
        "semver:garbage",
        "semver:1 ||",
        "regex:(",
        "v[",
        "[]",
        "a\\",
        "v1*[",
        "a\0b",
        "v1\n",
        "a\tb",
        "\x7f",
        "a\u2028b",
        "a\u202eb",
        "\ud800",
    ],
)
def test_unusable_patterns_are_refused(text: str) -> None:
    with pytest.raises(InvalidTagPatternError) as caught:
        parse_tag_pattern(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("prefix", ["", "regex:", "semver:1.2.3-"])
def test_a_pattern_has_at_most_255_characters(prefix: str) -> None:
    fits = prefix + "a" * (MAX_PATTERN_LENGTH - len(prefix))
    assert parse_tag_pattern(fits).text == fits
    with pytest.raises(InvalidTagPatternError, match="256 characters; at most 255"):
        parse_tag_pattern(fits + "a")
    with pytest.raises(InvalidTagPatternError, match="at most 255"):
        parse_tag_pattern(prefix + "a" * 1_000_000)


def test_patterns_are_values() -> None:
    assert parse_tag_pattern("v*") == TagPattern("v*")
    assert parse_tag_pattern("v*") != parse_tag_pattern("v**")
    assert len({parse_tag_pattern("v*"), parse_tag_pattern("v*")}) == 1
    assert str(parse_tag_pattern("semver:1.x")) == "semver:1.x"
    assert repr(parse_tag_pattern("v*")) == "TagPattern(text='v*')"
    with pytest.raises(AttributeError):
        parse_tag_pattern("v*").text = "w*"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["v[0-9]*", "semver:^1", "regex:v1.*"])
def test_patterns_can_be_copied_and_sent(text: str) -> None:
    pattern = parse_tag_pattern(text)
    for copied in (copy.deepcopy(pattern), pickle.loads(pickle.dumps(pattern))):  # noqa: S301 - our own bytes
        assert copied == pattern
        assert copied.matches("v1.2.3") is pattern.matches("v1.2.3") is True


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("latest", "latest"),
        ("v1.2.3", "v1.2.3"),
        (r"v1\.2\.3", "v1.2.3"),
        ("v*", None),
        ("v?", None),
        ("v[12]", None),
        (r"v\*", None),  # a text, but no tag
        ("-x", None),
        ("a/b", None),
        ("x" * 129, None),
        ("semver:1.2.3", None),
        ("regex:latest", "latest"),
        (r"regex:^v1\.2\.3$", "v1.2.3"),
        ("regex:v1.2", None),
        ("regex:latest|next", None),
        ("regex:(?i)latest", None),
        (r"regex:\d", None),
        ("regex:^$", None),
    ],
)
def test_the_tag_a_pattern_names_outright(text: str, literal: str | None) -> None:
    assert parse_tag_pattern(text).literal == literal


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("*", "v*", True),
        ("*", "latest", True),
        ("*", "semver:^1", True),
        ("*", "regex:v.*", True),
        ("?*", "semver:*", True),
        ("regex:.*", "*", True),
        ("regex:.+", "semver:*", True),
        ("regex:.*", "regex:v.*", True),
        ("regex:v.*", "regex:v.*", True),
        ("regex:v.*", "regex:v1.*", False),
        ("regex:v.*", "v1", True),
        ("regex:v.*", "w1", False),
        ("semver:^1", "v1.2.3", True),
        ("semver:^1", "v2.0.0", False),
        ("semver:^1", "semver:~1.2", True),
        ("semver:*", "*", False),
        ("semver:*", "v*", False),
        ("v*", "*", False),
        ("v*", "v1.*", True),
        ("v*", "v1", True),
        ("v*", "latest", False),
        ("v*", "semver:^1", False),
        ("v*", "regex:v.*", False),
        ("latest", "latest", True),
        ("latest", "*", False),
        ("latest", r"l\atest", True),
    ],
)
def test_covering(one: str, other: str, expected: bool) -> None:
    assert parse_tag_pattern(one).covers(parse_tag_pattern(other)) is expected


_version_tag = st.builds(
    "{}{}.{}.{}{}".format,
    st.sampled_from(["", "v"]),
    *[st.integers(0, 3)] * 3,
    st.sampled_from(["", "-rc.1", "-0"]),
)
_other_tag = st.builds(str.__add__, st.sampled_from("avz1_"), st.text("avz019_.-", max_size=12))
_tag = _version_tag | _other_tag | st.sampled_from(["latest", "v1", "1.2"])
_pattern = st.sampled_from(
    ["*", "?*", "v*", "v1*", "*-rc*", "[a-z]*", "latest", "v1.0.0", "1.0.0", "v?.?.?", "*.*.*",
     "v[0-9].*"]
    + [f"semver:{r}" for r in ("*", "1.x", "^1.0.0-0", "~1.1", ">=1 <3", "1.0.0", "1 || 2",
    ">=1.0.0-rc.1")]
    + [f"regex:{r}" for r in (".*", ".+", "v.*", r"v?\d+\.\d+\.\d+", "latest|v1", "(.*)")]
).map(parse_tag_pattern)  # fmt: skip


@given(_pattern, _pattern, st.lists(_tag, min_size=15, max_size=15))
@settings(deadline=None, max_examples=300)
def test_what_is_covered_has_no_counterexample(
    one: TagPattern, other: TagPattern, tags: list[str]
) -> None:
    if one.covers(other):
        assert not [tag for tag in tags if other.matches(tag) and not one.matches(tag)]


@given(st.sampled_from(["", "semver:", "regex:"]), st.text(max_size=40), st.text())
@settings(deadline=None)
def test_any_text_is_parsed_or_refused_and_no_match_raises(
    prefix: str, text: str, tag: str
) -> None:
    with suppress(InvalidTagPatternError):
        pattern = parse_tag_pattern(prefix + text)
        assert pattern.matches(tag) in (True, False)
        assert pattern.covers(pattern)


HOSTILE = r"""
from contextlib import suppress
from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.tags import parse_tag_pattern

bodies = [
    "*a" * 124, "a*" * 124, "*" * 248, "?" * 248, "[a-z]*" * 41, "*[^a]" * 49, "*" + "[ab]" * 60,
    "1.2.3-" + "a." * 120 + "a", "1.2.3-" + "1" * 240, "1.2.3-" + "-" * 240, "9" * 248,
    "1||" * 82 + "1", "1 " * 124,
    "^ " * 124, "x.x.x " * 41, ">=" * 124, " " * 248, "v" * 248, "1.2.3 - " * 31,
    "(a*)*" * 49, "(a|aa)+" * 35, "(?:a?){100}a{100}", "(.*a.{90})", "(?:.?){1000}",
    "[\\pL\\pN]{100}",
    "(x+x+)+y",
    "(" * 124 + ")" * 124, "((a{30}){30}){30}",
]
tags = [
    "a" * 128, "a" * 127 + "b", "ab" * 64, "1.2.3-" + "a." * 60 + "a", "1.2.3-" + "1" * 122,
    "9" * 128,
    "1." * 64,
    "v" * 128,
    "a" * 1_000_000,
]
patterns = []
for kind in ("", "semver:", "regex:"):
    for body in bodies:
        with suppress(InvalidTagPatternError):
            patterns.append(parse_tag_pattern((kind + body)[:255]))
for pattern in patterns:
    for tag in tags:
        pattern.matches(tag)
    for other in patterns:
        pattern.covers(other)
print(len(patterns))
"""


def test_no_hostile_pattern_hangs_or_writes_to_stderr() -> None:
    """In a process of its own, so that a pattern that does hang fails the test instead of hanging
    it.
    """
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 30
