"""Tag patterns.

A pattern is written `semver:RANGE` (npm's ranges), `regex:RE` (RE2's syntax), or plain (Go's `path.Match`). Each kind lives in
a file of its own; here they are told apart, compared with each other, and held to one length.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt
from tagboat.core.glob import Glob, parse_glob
from tagboat.core.image import is_tag
from tagboat.core.regex import Regex, parse_regex
from tagboat.core.semver import VersionRange, parse_version_range

MAX_PATTERN_LENGTH = 255

_ANY_TAG = parse_glob("*")

Matcher = Glob | VersionRange | Regex
_KINDS: dict[str, Callable[[str], Matcher]] = {"semver": parse_version_range, "regex": parse_regex}
_KIND = re.compile(r"\s*([A-Za-z0-9_.+-]+)\s*:", re.ASCII)


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A stage's tag pattern. Two are equal when their texts are; raises InvalidTagPatternError when `text` is none."""

    text: str
    matcher: Matcher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matcher", _compile(self.text))

    def __str__(self) -> str:
        return self.text

    def matches(self, tag: str) -> bool:
        """Whether the pattern matches the whole of `tag`. Never raises; takes time linear in the tag's length."""
        return self.matcher.matches(tag)

    @property
    def literal(self) -> str | None:
        """The one tag that a plain pattern names outright, escapes resolved; None if there is no such tag."""
        named = self.matcher.literal if isinstance(self.matcher, Glob) else None
        return named if named is not None and is_tag(named) else None

    @property
    def by_semver(self) -> bool:
        """Whether it is a range of versions: every tag that it matches is one."""
        return isinstance(self.matcher, VersionRange)

    def near_miss(self, tag: str) -> str | None:
        """What a tag that is nearly a version lacks to be within the range; None where it is neither."""
        return self.matcher.near_miss(tag) if isinstance(self.matcher, VersionRange) else None

    def covers(self, other: "TagPattern") -> bool:
        """Whether every possible tag that `other` matches is matched by this one too.

        True is always right. False may only mean that it is too hard to say: between plain patterns and between ranges the
        answer is exact (short of absurd patterns), between kinds only the plain cases are seen.
        """
        if self.text == other.text:
            return True
        if other.literal is not None:
            return self.matches(other.literal)
        return _covers(self.matcher, other.matcher)


def parse_tag_pattern(text: str) -> TagPattern:
    """Parse `semver:RANGE`, `regex:RE` or a plain pattern; raise InvalidTagPatternError naming what is wrong."""
    return TagPattern(text)


def _covers(one: Matcher, other: Matcher) -> bool:
    match one, other:
        case Glob(), Glob():
            return one.covers(other)
        case VersionRange(), VersionRange():
            return one.covers(other)
        case Glob(), _:
            return one.covers(_ANY_TAG)
        case Regex(), _:
            return one.matches_every_tag
    return False


@lru_cache(
    maxsize=256
)  # stages are read afresh for every push, and their patterns hardly ever change
def _compile(text: str) -> Matcher:
    if len(text) > MAX_PATTERN_LENGTH:
        raise InvalidTagPatternError(
            f"the tag pattern has {len(text)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
        )
    if not text:
        raise InvalidTagPatternError("the tag pattern is empty; write * for every tag")
    if not text.isprintable():
        raise InvalidTagPatternError(
            f"the tag pattern {excerpt(text)} has a character that cannot be printed"
        )
    kind = _KIND.match(text)
    if not kind:
        return parse_glob(text)
    prefix, rest = kind[1], text[kind.end() :]
    parse = _KINDS.get(prefix)
    if parse is None or not text.startswith(f"{prefix}:"):
        raise InvalidTagPatternError(
            f"{excerpt(kind[0])} is not a kind of tag pattern: write a plain one such as v*, semver:RANGE or regex:RE"
        )
    return parse(rest)
