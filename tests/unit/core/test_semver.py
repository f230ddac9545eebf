"""Versions and ranges of them: a table, node-semver as a second opinion, and generated ranges
against each other.
"""

import nodesemver
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.semver import parse_semver, parse_version_range

MATCHES = [
    ("*", "1.2.3", True),
    ("*", "v1.2.3", True),
    ("*", "1.2.3-rc.1", False),
    ("*", "1.2", False),
    ("*", "v1", False),
    ("*", "latest", False),
    ("*", "V1.2.3", False),
    ("*", "vv1.2.3", False),
    ("*", "1.2.3.4", False),
    ("*", "01.2.3", False),
    ("*", "1.2.3-", False),
    ("*", "1.2.3\n", False),
    ("*", "1.2.\u0663", False),
    ("x", "0.0.0", True),
    ("1", "1.9.9", True),
    ("1", "2.0.0", False),
    ("1.x", "1.9.9", True),
    ("1.X.*", "1.9.9", True),
    ("v1.2", "v1.2.9", True),
    ("1.2.*", "1.3.0", False),
    ("1.2.3", "v1.2.3", True),
    ("=1.2.3", "1.2.3", True),
    ("1.2.3", "1.2.3-rc.1", False),
    ("^1.2.3", "1.9.0", True),
    ("^1.2.3", "1.2.2", False),
    ("^1.2.3", "2.0.0", False),
    ("^0.2.3", "0.2.9", True),
    ("^0.2.3", "0.3.0", False),
    ("^0.0.3", "0.0.3", True),
    ("^0.0.3", "0.0.4", False),
    ("^1.2.3-beta.2", "1.2.3-beta.4", True),
    ("^1.2.3-beta.2", "1.2.3-beta.10", True),
    ("^1.2.3-beta.2", "1.2.3-beta.1", False),
    ("^1.2.3-beta.2", "1.2.4-beta.2", False),
    ("^1.2.3-beta.2", "2.0.0-alpha", False),
    ("~1.2.3", "1.2.9", True),
    ("~1.2.3", "1.3.0", False),
    ("~>1.2", "1.2.0", True),
    ("~1", "1.9.0", True),
    (">=1.2", "1.2.0", True),
    (">1.2", "1.2.9", False),
    (">1.2", "1.3.0", True),
    ("<=1.2", "1.2.9", True),
    ("<2.0.0", "2.0.0-rc.1", False),
    (">= 1.2.0 < 2", "1.5.0", True),
    (">=1.2.0 <2", "2.0.0", False),
    ("  >=1.2.0   <2  ", "1.2.0", True),
    ("1.2.3 - 2.3", "2.3.9", True),
    ("1.2.3 - 2.3.4", "2.3.5", False),
    ("1.2 - 2", "1.1.9", False),
    ("1.x || >=3 <3.5", "3.4.9", True),
    ("1.x||3.x", "2.0.0", False),
    ("<1.0.0-rc.1", "1.0.0-beta", True),
    (">1.0.0-rc.1", "1.0.0-rc.1.1", True),
    (">1.0.0-1", "1.0.0-a", True),
    (">=1.0.0-0", "1.0.0-01", False),
    (">=1.0.0-0", "1.0.0-01a", True),
    (">=1.2.3+build.5", "1.2.3", True),
    (">x", "1.0.0", False),
    ("99999999999999999999999.x", "99999999999999999999999.1.0", True),
]

GARBAGE = [
    "", " ", "||", "1.x ||", "|| 1.x", "1 || || 2", "1 | 2", "latest", "foo 1.x", "1.2.3.4",
    "1.x.3", "x.1", "1..2",
    "1.2.", ".1", "v", "^", "~", ">=", "<>1", "=>1", "==1", "!=1", "!1", "^^1", "^~1", "~>>1",
    ">=1<2", "1.2.3-",
    "1.2.3-01", "1.2.3-a..b", "1.2.3-a_b", "1.2-rc", "01.2.3", "1.02.3", "-1", "1 - ", "- 2",
    "1 - 2 - 3", "1 - 2 3",
    "^1 - 2", "1,2", "1.2.3 and 2", "(1)", "[1,2)", "1.2.3*", "*1", "**", "1\u0663", "\u0661.2.3",
    "1.2.3é", "\0",
]  # fmt: skip


@pytest.mark.parametrize(("range_", "tag", "expected"), MATCHES)
def test_matching(range_: str, tag: str, expected: bool) -> None:
    assert parse_version_range(range_).matches(tag) is expected


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidTagPatternError, match="range"):
        parse_version_range(text)


def test_an_empty_alternative_is_told_what_to_write() -> None:
    with pytest.raises(
        InvalidTagPatternError, match=r"has nothing next to a \|\|; write \* for any version"
    ):
        parse_version_range("^1.2 ||")


def test_what_is_longer_than_a_tag_matches_nothing() -> None:
    assert not parse_version_range("*").matches("1.2." + "3" * 100_000)
    assert parse_semver("1.2." + "3" * 124) is not None
    assert parse_semver("1.2." + "3" * 125) is None


def test_precedence_is_that_of_the_specification() -> None:
    rising = (
        "0.0.0-0 0.0.0 1.0.0-1 1.0.0-2 1.0.0-11 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta "
        "1.0.0-beta 1.0.0-beta.2 "
        "1.0.0-beta.11 1.0.0-rc.1 1.0.0 v1.0.1 1.10.0 9.0.0 v10.0.0"
    )
    versions = [version for text in rising.split() if (version := parse_semver(text))]
    assert len(versions) == len(rising.split())
    assert versions == sorted(versions)
    assert len(set(versions)) == len(versions)


@pytest.mark.parametrize(
    ("text", "tag", "reason"),
    [
        ("^1.2", "1.2", "1.2 is not a full version (x.y.z)"),
        ("^1.2", "v1.10", "v1.10 is not a full version (x.y.z)"),
        ("^1.2", "V1.2.3", "V1.2.3 is not a full version: the letter before it must be a small v"),
        ("^1.2", "1.2.3_4", "1.2.3_4 is not a full version (x.y.z)"),
        ("^1.2", "1.2.3.4", "1.2.3.4 is not a full version (x.y.z)"),
        ("^1.2", "1.02.3", "1.02.3 is not a full version: its numbers must not begin with 0"),
        ("^1.2", "release-1.2.3", "release-1.2.3 is not a full version (x.y.z)"),
        (
            "^1.2",
            "1.3.0-rc.1",
            "1.3.0-rc.1 is a prerelease, and the range names none of that release",
        ),
        (
            ">=1.2.0-beta",
            "1.3.0-rc.1",
            "1.3.0-rc.1 is a prerelease, and the range names none of that release",
        ),
        ("^1.2", "2.0.0-rc.1", None),
        (">=1.2.0-beta", "1.2.0-alpha", None),
        ("^1.2", "2.0.0", None),
        ("^1.2", "main", None),
        ("^1.2", "sha-1a2b3c4", None),
    ],
)
def test_what_is_nearly_a_version_of_the_range_is_told_what_it_lacks(
    text: str, tag: str, reason: str | None
) -> None:
    assert parse_version_range(text).near_miss(tag) == reason


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        (">2 <1", True),
        (">1.2.3 <1.2.3", True),
        ("^1.2", False),
        (">2 <1 || 1.x", False),
        ("1.2.3-rc.1", False),
    ],
)
def test_a_range_that_no_version_is_in(text: str, empty: bool) -> None:
    assert parse_version_range(text).is_empty is empty


_number = st.sampled_from(["0", "1", "2", "10"])
_release = st.tuples(_number, _number, _number).map(".".join)
_prerelease = st.sampled_from(["-0", "-1", "-alpha", "-alpha.1", "-beta.2", "-rc-1.x"])
_v = st.sampled_from(["", "v"])
_full = st.builds(
    lambda v, release, pre: v + release + pre, _v, _release, st.just("") | _prerelease
)
_partial = _full | st.builds(
    lambda v, numbers, rest: v + ".".join(numbers + rest),
    _v,
    st.lists(_number, min_size=1, max_size=2),
    st.sampled_from([[], ["x"]]),
)
_simple = st.builds(
    lambda symbol, partial: symbol + partial,
    st.sampled_from(["", "<", "<=", ">", ">=", "=", "~", "^", "~>", ">= "]),
    _partial,
)
_alternative = st.lists(_simple, min_size=1, max_size=3).map(" ".join) | st.tuples(
    _partial, _partial
).map(" - ".join)
_range = st.lists(_alternative, min_size=1, max_size=3).map(" || ".join) | st.just("*")


@given(_range, st.lists(_full, min_size=10, max_size=10))
@settings(deadline=None, max_examples=300)
def test_ranges_agree_with_node_semver(range_: str, tags: list[str]) -> None:
    parsed = parse_version_range(range_)
    for tag in tags:
        assert parsed.matches(tag) is nodesemver.satisfies(tag, range_, loose=False)


@given(_full, _full)
@settings(deadline=None)
def test_precedence_agrees_with_node_semver(one: str, other: str) -> None:
    first, second = parse_semver(one), parse_semver(other)
    assert first is not None
    assert second is not None
    assert (first > second) - (first < second) == nodesemver.compare(one, other, loose=False)


@given(st.text() | st.text(alphabet="0123.xX*vV<>=~^|- +a\u0663", max_size=40))
@settings(deadline=None)
def test_any_text_is_a_range_that_npm_takes_or_is_refused(text: str) -> None:
    try:
        parse_version_range(text)
    except InvalidTagPatternError:
        return
    assert nodesemver.valid_range(text, loose=False) is not None


COVERS = [
    ("*", "^1.2", True),
    ("*", "*", True),
    (">=0.0.0", "*", True),
    ("*", ">=1.0.0-rc.1", False),
    (">=1.0.0-0", ">=1.0.0-rc.1", True),
    (">=1.0.0-rc.1", ">=1.0.0-0", False),
    (">1.0.0-rc.1", ">=1.0.0-rc.1.0", True),
    (">=1.0.0-rc.1.0", ">1.0.0-rc.1", True),
    ("^1", "^1.2.3", True),
    ("^1.2.3", "^1", False),
    ("^1", "~1.2.3", True),
    ("1.x || 2.x", ">=1.5.0 <3", True),
    ("1.x || 3.x", ">=1.5.0 <4", False),
    (">1.2.3", ">=1.2.4", True),
    (">=1.2.4", ">1.2.3", True),
    (">1.2.4", ">1.2.3", False),
    ("<2", "1.2 - 1.9", True),
    ("1.2.3", "=1.2.3", True),
    ("1.2.3 || 1.2.4", ">1.2.2 <1.2.5", True),
    ("^1.2.3-beta.2", "^1.2.3", True),
    ("^1.2.3", "^1.2.3-beta.2", False),
    ("1.x", ">x", True),
    (">=1.0.0-alpha || <1.0.0", "<1.0.0-beta", False),  # 1.0.0-0 is below all that are named
]


@pytest.mark.parametrize(("one", "other", "expected"), COVERS)
def test_covering(one: str, other: str, expected: bool) -> None:
    assert parse_version_range(one).covers(parse_version_range(other)) is expected


_ALL = [
    f"{a}.{b}.{c}{pre}"
    for a in range(4)
    for b in (0, 1, 2, 3, 10, 11)
    for c in (0, 1, 2, 3, 10, 11)
    for pre in (
        "",
        "-0",
        "-0.0",
        "-1",
        "-1.0",
        "-alpha",
        "-alpha.0",
        "-alpha.1",
        "-alpha.1.0",
        "-beta.2",
        "-beta.2.0",
        "-rc-1.x",
        "-rc-1.x.0",
        "-z",
    )
]
_EVERY = [
    version
    for text in [*_ALL, "10.0.0", "10.0.1", "10.1.0", "11.0.0"]
    if (version := parse_semver(text))
]


@given(_range, _range)
@settings(deadline=None, max_examples=200)
def test_covering_agrees_with_trying_many_versions(one: str, other: str) -> None:
    mine, theirs = parse_version_range(one), parse_version_range(other)
    if mine.covers(theirs):
        assert not [
            version for version in _EVERY if theirs.admits(version) and not mine.admits(version)
        ]
    assert mine.covers(mine)
    assert parse_version_range(f"{one} || {other}").covers(theirs)
