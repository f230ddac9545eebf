"""Which of several tags is the newest.

A table, each row in every order in which a registry may list its tags.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise, permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagboat.core.newest import Candidate, Order
from tagboat.core.tags import parse_tag_pattern
from tests.support.pace import at_most_s

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
COMMIT, OTHER = "9c1d2e3", "0f4b5a6"
LONG = "0123456789abcdef0123456789abcdef01234567"
UUIDS = "550e8400-e29b-41d4-a716-446655440000", "123e4567-e89b-42d3-a456-426614174000"


def at(tag: str, hours_ago: float | None) -> Candidate:
    return Candidate(tag, None if hours_ago is None else NOW - timedelta(hours=hours_ago))


def chosen(pattern: str, candidates: Sequence[Candidate], count: int = 1) -> list[str]:
    """The newest by the rule.

    Those that can be ruled out by the beginnings of names alone make no difference.
    """
    order = Order(parse_tag_pattern(pattern), candidates, NOW)
    found = order.first(count)
    assert order.only(order.contenders(count)).first(count) == found
    return [candidate.tag for candidate in found]


# From the older to the newer, by their names alone: no image says when it was built, or each says
# that it is the oldest.
BY_NAME: list[tuple[str, str]] = [
    ("build-*", "build-9 build-10"),
    ("*", "9 10"),
    ("*", "99 100 101"),
    ("release-*", "release-1.2.9 release-1.2.10"),
    ("*", "1.2.3.9 1.2.3.10"),
    ("*", "1.2.3_9 1.2.3_10"),
    ("*", "1.2.3-9 1.2.3-10"),
    ("*", "V1.9.0 V1.10.0"),
    ("*", "v1.9.0 V1.10.0"),
    ("*", "v1.9.0 1.10.0"),
    ("v*", "v9 v10"),
    ("*", "1.9 1.10"),
    ("*", "1 1.5 2"),
    ("*", "1.2 1.2.1"),
    ("*", "v1 v1.0.1"),
    ("*", "0.9.9 1.0.0"),
    ("*", "20261128-9 20261128-10"),
    ("*", "20261127 20261128"),
    ("*", "20261127-2 20261128-1"),
    ("*", "20261128115959 20261128120000"),
    ("*", "2026.09.30 2026.10.1 2026.11.02"),
    ("*", "2026.9 2026.10"),
    ("*", "2026-09-30 2026-10-01"),
    ("*", "2025.12.31 2026.1.1"),
    ("*", "2026.11.28-1 2026.11.28-2"),
    ("*", "20261128a 20261128b"),
    ("*", "v1.0.0 v1.0.0-5-g1a2b3c4"),
    ("*", "v1.0.0-5-g9a2b3c4 v1.0.0-10-g1a2b3c4"),
    ("*", "v1.0.0-9-gfffffff v1.0.0-10-g0000000 v1.0.1"),
    ("*", "v1.0.0-rc1 v1.0.0-rc1-3-g1a2b3c4 v1.0.0"),
    ("*", "v1.0.0-rc1 v1.0.0"),
    ("*", "v1.0.0-rc9 v1.0.0-rc10"),
    ("*", "v1.0.0-rc.9 v1.0.0-rc.10 v1.0.0"),
    ("*", "1.0.0-alpha 1.0.0-alpha.1 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"),
    ("*", "1.0.0-alpha1 1.0.0-beta1 1.0.0-rc1 1.0.0 1.0.1-alpha1"),
    ("*", "1.0a1 1.0b1 1.0rc1 1.0 1.0.post1"),
    ("*", "1.0.0-M1 1.0.0-RC1 1.0.0"),
    ("*", "1.0.0-SNAPSHOT 1.0.0"),
    ("*", "1.0.0-nightly 1.0.0"),
    ("*", "1.0.0-rc1-alpine 1.0.0-alpine"),
    ("*", "1.0.0-dev.5 1.0.0-rc.1"),
    ("*", "v2.0.0-rc.1 v2.0.0 v9.9.9 v10.0.0"),
    ("*", "1.9.0-rc1 1.9.0 1.10.0-rc1"),
    ("*", "1.2.3-debian-12-r9 1.2.3-debian-12-r10"),
    ("*", "1.2.3-debian-12 1.2.3-debian-12-r1"),
    ("*", "1.2.3 1.2.3-r1"),
    ("*", "1.2.3 1.2.3-patch1 1.2.3-patch2"),
    ("*", "1.2.3-hotfix1 1.2.4"),
    ("*", "1.2.3-ls9 1.2.3-ls10"),
    ("*", "1.2-4 1.2.3"),
    ("*", "1.2.3 1.2.3-4"),
    ("*", "1.2.3-alpine 1.2.4-alpine"),
    ("*", "1.2.3-alpine3.9 1.2.3-alpine3.19"),
    ("*", "1.2.3-alpine3.19 1.2.4-bookworm"),
    ("*", "1.9-alpine 1.10"),
    ("*", "9-alpine 10-alpine"),
    ("*", "9-alpine3.19 10-alpine3.20"),
    ("*", "9-rc1 10"),
    ("alpine-*", "alpine-3.9 alpine-3.10"),
    ("*", "release-v1.2.9 release-v1.2.10"),
    ("*", "app_1.9 app_1.10"),
    ("*", "app.1.9 app.1.10"),
    ("pr-*", "pr-9 pr-10"),
    ("main-*", "main-9 main-10"),
    ("main-*", f"main-9-{COMMIT} main-10-{OTHER}"),
    ("main-*", f"main-{COMMIT}-1795850000 main-{OTHER}-1795860000"),
    ("main-*", f"main-{LONG}-1795850000 main-{OTHER}-1795860000"),
    ("main-*", "main-1795850000 main-1795860000"),
    ("*", f"20261127-{COMMIT} 20261128-{OTHER}"),
    ("*", f"1.2.3-{COMMIT} 1.2.4-{OTHER}"),
    ("*", f"1.2.3-sha-{COMMIT} 1.10.3-sha-{OTHER}"),
    ("*", f"{COMMIT}-9 {OTHER}-10"),
    ("*", f"{UUIDS[0]}-9 {UUIDS[1]}-10"),
    ("*", "rel-2026w09 rel-2026w10"),
    ("*", "sprint9.2 sprint10.1"),
    ("regex:.*", "build-9 build-10"),
    ("semver:*", "1.9.0 1.10.0"),
    ("semver:*", "v1.9.0 1.10.0"),
    ("semver:>=1", "9.9.9 10.0.0 100.0.0"),
    ("semver:>=1.0.0-0", "1.0.0-rc.9 1.0.0-rc.10 1.0.0"),
    ("semver:>=1.0.0-0", "1.0.0-rc10 1.0.0-rc9"),  # npm's order, by letters
    ("semver:>=1.0.0-0", "1.0.0-5 1.0.0-alpha 1.0.0"),
    ("semver:>=1.0.0-0", "v1.0.0-5-g1a2b3c4 v1.0.0"),
]

# The newest by when its image was built (hours ago; None is unknown): names do not tell.
BY_TIME: list[tuple[str, dict[str, float | None], str]] = [
    ("*", {"main": 2, "dev": 1}, "dev"),
    ("*", {"blue": 1, "green": 2}, "blue"),
    ("*", {COMMIT: 1, OTHER: 2}, COMMIT),
    ("*", {COMMIT: 2, OTHER: 1}, OTHER),
    ("main-*", {f"main-{COMMIT}": 1, f"main-{OTHER}": 2}, f"main-{COMMIT}"),
    ("sha-*", {"sha-9999999": 2, "sha-1111111": 1}, "sha-1111111"),
    ("*", {"9999999": 2, "1111111": 1, COMMIT: 3}, "1111111"),  # digits alone, among commits
    ("*", {"abcdefa": 2, "1234567": 1, COMMIT: 3}, "1234567"),
    ("*", {LONG: 1, LONG[::-1]: 2}, LONG),
    ("*", {UUIDS[0]: 2, UUIDS[1]: 1}, UUIDS[1]),
    ("*", {"1.2.3-alpine": 1, "1.2.3-bookworm": 2}, "1.2.3-alpine"),
    ("*", {"1.2.3": 2, "1.2.3-alpine": 1}, "1.2.3-alpine"),
    ("*", {"1.2.3": 1, "1.2.3-alpine": 2}, "1.2.3"),
    ("*", {"v1.0.0": 1, "1.0.0": 2}, "v1.0.0"),
    ("*", {"v1.0.0": 2, "1.0.0": 1}, "1.0.0"),
    ("*", {"1.0": 2, "1.0.0": 1}, "1.0.0"),
    ("*", {"1.0rc1": 1, "1.0-rc.1": 2}, "1.0rc1"),
    ("semver:*", {"v1.0.0": 1, "1.0.0": 2}, "v1.0.0"),
    ("*", {"v1.0.0": 2, "main": 1}, "main"),
    ("*", {"v1.0.0": 1, "main": 2}, "v1.0.0"),
    ("*", {"main": 2, "main-7": 1}, "main-7"),
    ("*", {"main": 1, "main-7": 2}, "main"),
    ("*", {"2021.12.16": 40_000, "10.11.4": 1}, "10.11.4"),
    ("*", {"20211216": 40_000, "10.11.4": 1}, "10.11.4"),
    ("*", {"20261128": 2, "2026.11.29": 1}, "2026.11.29"),
    ("*", {"feature-x-10": 2, "feature-y-9": 1}, "feature-y-9"),
    ("*", {"alpine-2": 2, "bookworm-1": 1}, "bookworm-1"),
    ("*", {"1.0.0-nightly": 2, "1.0.0-rc1": 1}, "1.0.0-rc1"),
    # v2 is the higher version, and main was built after it
    ("*", {"v2.0.0": 3, "main": 2, "v1.0.0": 1}, "main"),
    ("*", {"v2.0.0": 2, "main": 3, "v1.0.0": 1}, "v2.0.0"),
    # What nobody can have built then was built nobody knows when: what sorts last is taken.
    ("*", {"main-a": -24 * 365 * 73, "main-b": 1}, "main-b"),
    ("*", {"main-a": 24 * 365 * 30, "main-b": None}, "main-b"),
    ("*", {"main-a": None, "main-b": 24 * 365 * 56}, "main-b"),
    ("*", {"main-a": -23, "main-b": 1}, "main-a"),  # a clock that is somewhat fast
    ("*", {"main-a": -25, "main-b": 1}, "main-b"),
    ("*", {"b": None, "a": None}, "b"),
    ("*", {"lib10x": None, "lib9y": None}, "lib10x"),
    # numbers of issues and of branches
    ("*", {"123-fix-login": 2, "99-new-page": 1}, "99-new-page"),
    ("*", {"feature-123-fix": 2, "feature-99-page": 1}, "feature-99-page"),
    ("*", {"9-alpine": 1, "10-bookworm": 2}, "9-alpine"),
    ("*", {"b": 1, "a": 1}, "b"),
]


@pytest.mark.parametrize(("pattern", "tags"), BY_NAME, ids=str)
def test_the_higher_version_is_newer_however_they_are_listed_and_whenever_they_were_built(
    pattern: str, tags: str
) -> None:
    ordered = tags.split()
    order = Order(parse_tag_pattern(pattern), [Candidate(tag) for tag in ordered], NOW)
    assert order.undecided(1) == []
    undated = [Candidate(tag) for tag in ordered]
    misdated = [at(tag, hours_ago) for hours_ago, tag in enumerate(ordered)]
    for candidates in (undated, misdated):
        for listed in islice(permutations(candidates), 24):
            assert chosen(pattern, listed) == [ordered[-1]]
            assert chosen(pattern, listed, len(ordered)) == ordered[::-1]
    for older, newer in pairwise(undated):
        assert order.rule(newer, older) == "is the higher version"
        assert order.rule(older, newer) == "is newer"


@pytest.mark.parametrize(("pattern", "built", "expected"), BY_TIME, ids=str)
def test_where_names_do_not_tell_what_was_built_last_is_newest(
    pattern: str, built: dict[str, float | None], expected: str
) -> None:
    candidates = [at(tag, hours_ago) for tag, hours_ago in built.items()]
    assert Order(parse_tag_pattern(pattern), candidates, NOW).undecided(1)
    assert {chosen(pattern, listed)[0] for listed in permutations(candidates)} == {expected}


def test_the_tables_are_long_enough_to_mean_something() -> None:
    assert len(BY_NAME) + len(BY_TIME) >= 110


@pytest.mark.parametrize("year", [1, 1970, 1980, 1999])
def test_what_was_found_later_is_newer_where_nothing_else_tells(year: int) -> None:
    stamp = datetime(year, 1, 1, 0, 0, 1, tzinfo=UTC)
    old, new = Candidate("b", NOW, found=0), Candidate("a", stamp, found=1)
    order = Order(parse_tag_pattern("*"), [old, new], NOW)
    assert order.first(1) == [new]
    assert order.rule(new, old) == "was found later"
    assert order.rule(old, new) == "is newer"


def test_of_what_was_found_at_once_the_reason_says_that_nothing_tells() -> None:
    one, other = Candidate("b"), Candidate("a")
    rule = Order(parse_tag_pattern("*"), [one, other], NOW).rule(one, other)
    assert (
        rule == "was found with it and sorts after it, "
        "and neither versions nor dates show which is newer,"
    )


def test_times_with_and_without_zone_can_be_compared() -> None:
    one_in_the_east = NOW.astimezone(timezone(timedelta(hours=9))) + timedelta(seconds=1)
    assert chosen(
        "*", [Candidate("a", one_in_the_east), Candidate("b", NOW.replace(tzinfo=None))]
    ) == ["a"]


def test_none_has_no_newest() -> None:
    assert chosen("*", []) == []


def test_thousands_of_versions_are_told_apart_at_once() -> None:
    tags = [
        f"{word}-{major}.{minor}"
        for word in ("app", "web")
        for major in range(100)
        for minor in range(50)
    ]
    with at_most_s(2):
        order = Order(parse_tag_pattern("*"), [Candidate(tag) for tag in tags], NOW)
        newest = order.contenders(1)
    assert {one.tag for one in newest} == {"app-99.49", "web-99.49"}


_word = st.sampled_from(
    [
        "v",
        "",
        "rc",
        "alpha",
        "r",
        "main",
        "abc1234",
        "1234567",
        "g1234567",
        "2026",
        "20261128",
        "final",
        "a",
    ]
)
_tag = st.lists(
    st.tuples(
        _word,
        st.sampled_from(["", "-", ".", "_"]),
        st.sampled_from(["", "0", "1", "9", "10", "007"]),
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: "".join(map("".join, parts)).strip("-._") or "x")


@given(st.lists(_tag, min_size=3, max_size=3, unique=True))
@settings(max_examples=500, deadline=None)
def test_versions_never_go_round_in_a_circle(tags: list[str]) -> None:
    order = Order(parse_tag_pattern("*"), [Candidate(tag) for tag in tags], NOW)
    for one, two, three in permutations(tags):
        assert (order.by_name(one, two) or 0) == -(order.by_name(two, one) or 0)
        if (order.by_name(one, two) or 0) > 0 and (order.by_name(two, three) or 0) > 0:
            assert (order.by_name(one, three) or 1) > 0


@example([at("2", 5), at("1", 5), at("1-rc1-alpine", 0)])
@given(
    st.lists(
        st.builds(at, _tag, st.none() | st.integers(0, 5)),
        min_size=1,
        max_size=6,
        unique_by=lambda one: one.tag,
    )
)
@settings(deadline=None)
def test_the_newest_is_no_lower_version_and_the_same_in_every_order(
    candidates: list[Candidate],
) -> None:
    order = Order(parse_tag_pattern("*"), candidates, NOW)
    (best,) = order.first(1)
    assert all((order.by_name(other.tag, best.tag) or 0) <= 0 for other in candidates)
    for listed in (candidates[::-1], sorted(candidates, key=lambda one: one.tag)):
        assert chosen("*", listed) == [best.tag]
