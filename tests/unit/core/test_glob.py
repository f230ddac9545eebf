"""Plain patterns against a table, against a naive matcher that shares nothing with the real one,
and against each other.
"""

import re
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.glob import parse_glob

MATCHES = [
    ("abc", "abc", True),
    ("abc", "abcd", False),
    ("abc", "ab", False),
    ("abc", "ABC", False),
    ("*", "", True),
    ("*", "abc", True),
    ("*", "a/b", False),
    ("*", ".hidden", True),
    ("**", "abc", True),
    ("**", "a/b", False),
    ("*c", "abc", True),
    ("a*", "a", True),
    ("a*", "abc", True),
    ("a*", "ab/c", False),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("*ab", "aab", True),
    ("*aab*", "aaab", True),
    ("a*a", "a", False),
    ("*x", "xxx", True),
    ("?", "a", True),
    ("?", "", False),
    ("?", "ab", False),
    ("?", "/", False),
    ("?", "☺", True),
    ("a?b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[^/]", "/", False),
    ("[/]", "/", True),
    ("[^a]", "/", True),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^b-d]", "abc", False),
    ("ab[^e-g]", "abc", True),
    ("[ace-g]", "f", True),
    ("[ace-g]", "b", False),
    ("[b-a]", "a", False),
    ("[b-a]", "b", False),
    ("[^b-a]", "a", True),
    ("[!a]", "a", True),
    ("[!a]", "!", True),
    ("[!a]", "b", False),
    ("[a^]", "^", True),
    ("[^^]", "^", False),
    ("[[]", "[", True),
    ("[*?]", "*", True),
    ("[*?]", "a", False),
    ("[a-ζ]*", "\u03b1", True),
    ("*[a-ζ]", "A", False),
    (r"a\*b", "a*b", True),
    (r"a\*b", "ab", False),
    (r"a\bc", "abc", True),
    (r"\\", "\\", True),
    (r"\[a]", "[a]", True),
    (r"[\]a]", "]", True),
    (r"[\-]", "-", True),
    (r"[x\-]", "x", True),
    (r"[x\-]", "-", True),
    (r"[x\-]", "z", False),
    (r"[\-x]", "-", True),
    (r"[\-x]", "a", False),
    (r"[\a-\c]", "b", True),
    ("a]", "a]", True),
    ("a-b", "a-b", True),
    ("{a,b}", "a", False),
    ("v[0-9]*.[0-9]*.[0-9]*", "v10.0.12", True),
    ("v[0-9]*.[0-9]*.[0-9]*", "v10.0", False),
]

MALFORMED = [
    "[]a]",
    "[-]",
    "[x-]",
    "[-x]",
    "[a-b-c]",
    "[]",
    "[^]",
    "[^]a]",
    "[",
    "[^",
    "[^bc",
    "a[",
    "a[x",
    "[a-",
    "[a",
    "\\",
    "a\\",
    "[\\",
    r"[a\]",
    r"[a\-",
    "*[",
    "x*y[z",
    "v1[]",
    "[a]][",
]


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES)
def test_matching(pattern: str, text: str, expected: bool) -> None:
    assert parse_glob(pattern).matches(text) is expected


@pytest.mark.parametrize("pattern", MALFORMED)
def test_malformed_patterns_are_refused_whole(pattern: str) -> None:
    with pytest.raises(InvalidTagPatternError, match="pattern"):
        parse_glob(pattern)


def test_the_error_names_the_place() -> None:
    with pytest.raises(InvalidTagPatternError, match=r"'v\[0-9', the \[ at character 2 has no \]"):
        parse_glob("v[0-9")


# An independent reading of the same rules: the grammar as one regular expression, and a matcher
# that tries everything.
_IN_CLASS = r"(?:\\.|[^\\\]-])"
_PLACE = re.compile(
    r"\\(?P<escaped>.)|(?P<wild>[*?])|"
    rf"\[(?P<not>\^?+)(?P<class>(?:{_IN_CLASS}(?:-{_IN_CLASS})?)+)\]|(?P<plain>[^\\\[*?])",
    re.DOTALL,
)
_WELL_FORMED = re.compile(f"(?:{re.sub('[?]P<[a-z]+>', '?:', _PLACE.pattern)})*", re.DOTALL)
_RANGE = re.compile(rf"({_IN_CLASS})(?:-({_IN_CLASS}))?", re.DOTALL)


def naive_match(pattern: str, text: str) -> bool:
    places = list(_PLACE.finditer(pattern))

    @cache
    def from_here(place: int, at: int) -> bool:
        if place == len(places):
            return at == len(text)
        if places[place]["wild"] == "*":
            return from_here(place + 1, at) or (
                at < len(text) and text[at] != "/" and from_here(place, at + 1)
            )
        return (
            at < len(text)
            and naive_admits(places[place], text[at])
            and from_here(place + 1, at + 1)
        )

    return from_here(0, 0)


def naive_admits(place: re.Match[str], char: str) -> bool:
    if place["wild"]:
        return char != "/"
    if place["class"]:
        within = [
            low[-1] <= char <= (high or low)[-1] for low, high in _RANGE.findall(place["class"])
        ]
        return any(within) != bool(place["not"])
    return char == (place["escaped"] or place["plain"])


_some_text = st.text(alphabet="ab-]/^[é", max_size=10)
_any_pattern = st.text(alphabet="ab-]^[*?\\/é", max_size=12)
_class_chars = st.text(alphabet="ab^[*é", min_size=1, max_size=3)
_good_place = st.one_of(
    st.sampled_from(["*", "?", "a", "b", "-", "]", "/", "é", r"\*", r"\[", r"\a"]),
    _class_chars.map(lambda chars: f"[^{chars}]"),
    _class_chars.filter(lambda chars: chars != "^").map(lambda chars: f"[{chars}]"),
    st.sampled_from(["[a-b]", "[b-a]", "[^a-b]", r"[\]-é]", r"[\-]"]),
)
_good_pattern = st.lists(_good_place, max_size=8).map("".join)


@given(_any_pattern)
@settings(deadline=None, max_examples=500)
def test_exactly_the_well_formed_is_taken(pattern: str) -> None:
    if _WELL_FORMED.fullmatch(pattern):
        parse_glob(pattern)
    else:
        with pytest.raises(InvalidTagPatternError):
            parse_glob(pattern)


@given(_good_pattern, _some_text)
@settings(deadline=None, max_examples=500)
def test_matching_agrees_with_the_naive_matcher(pattern: str, text: str) -> None:
    assert parse_glob(pattern).matches(text) is naive_match(pattern, text)


def test_matching_agrees_with_the_naive_matcher_on_every_short_text() -> None:
    texts = ["".join(chars) for length in range(5) for chars in product("ab/", repeat=length)]
    for places in product(["*", "?", "a", "[ab]", "[^a]"], repeat=3):
        pattern = "".join(places)
        glob = parse_glob(pattern)
        assert [t for t in texts if glob.matches(t)] == [
            t for t in texts if naive_match(pattern, t)
        ]


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("v1.2.3", "v1.2.3"),
        (r"v1\.2\*", "v1.2*"),
        ("v[1]", "v1"),
        ("v*", None),
        ("v?", None),
        ("v[12]", None),
        ("v[^1]", None),
        ("[b-a]", None),
    ],
)
def test_the_one_text_a_pattern_names(pattern: str, literal: str | None) -> None:
    assert parse_glob(pattern).literal == literal


COVERS = [
    ("*", "v*", True),
    ("*", "*", True),
    ("**", "*", True),
    ("?*", "*", True),  # no tag is empty
    ("*?", "?*", True),
    ("[A-Za-z0-9_]*", "*", True),  # nor begins with a dot
    ("[a-z]*", "*", False),
    ("v*", "*", False),
    ("v*", "v1.*", True),
    ("v*", "v?", True),
    ("v*", "[v]*", True),
    ("v*", "[vw]*", False),
    ("v?*", "v*", False),
    ("v[0-9]*", "v[1-9]*", True),
    ("v[1-9]*", "v[0-9]*", False),
    ("*-rc*", "v*-rc.*", True),
    ("*-rc*", "v*", False),
    ("*a*", "*b*a*", True),
    ("*a*b*", "*b*a*", False),
    ("*[ab]*", "*a", True),
    ("[^a]*", "b*", True),
    ("[^/]*", "*", True),
    ("???", "?-?", True),
    ("?" * 128 + "*", "?" * 127 + "*", False),
    ("*", "?" * 200, True),
    ("a", "?" * 128, False),
    ("a", "?" * 129, True),  # no tag is that long: there is nothing to take
    ("a", "v/*", True),
    ("a", "a", True),
]


@pytest.mark.parametrize(("one", "other", "expected"), COVERS)
def test_covering(one: str, other: str, expected: bool) -> None:
    assert parse_glob(one).covers(parse_glob(other)) is expected


def test_covering_agrees_with_trying_every_short_tag() -> None:
    tags = [
        "".join(chars)
        for length in range(1, 6)
        for chars in product("abc-", repeat=length)
        if chars[0] != "-"
    ]
    globs = [
        parse_glob("".join(places)) for places in product(["*", "?", "a", "[ab]", "[^a]"], repeat=3)
    ]
    matched = [frozenset(tag for tag in tags if glob.matches(tag)) for glob in globs]
    for one, mine in zip(globs, matched, strict=True):
        for other, theirs in zip(globs, matched, strict=True):
            assert one.covers(other) is (theirs <= mine)


_tag_place = st.sampled_from(["*", "?", "a", "b", ".", "-", "[ab]", "[^a]", "[a-z]", r"[^.\-]"])
_possible_tag = st.builds(str.__add__, st.sampled_from("abz_"), st.text("abz_.-", max_size=12))
_tag_pattern = st.lists(_tag_place, min_size=1, max_size=10).map("".join)


@given(
    _tag_pattern,
    _tag_pattern,
    st.lists(_possible_tag, min_size=10, max_size=10),
)
@settings(deadline=None, max_examples=300)
def test_what_is_covered_has_no_counterexample(one: str, other: str, tags: list[str]) -> None:
    mine, theirs = parse_glob(one), parse_glob(other)
    if mine.covers(theirs):
        assert not [tag for tag in tags if theirs.matches(tag) and not mine.matches(tag)]


def test_covering_gives_up_on_patterns_that_need_too_many_states() -> None:
    assert not parse_glob("*a" + "?" * 40 + "*").covers(parse_glob("*a" + "[ab]" * 40 + "*"))
