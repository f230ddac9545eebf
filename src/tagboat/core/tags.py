"""Tag patterns of all kinds.

A pattern is written `semver:RANGE` (npm's ranges), `regex:RE` (RE2's syntax), or plain (Go's
`path.Match`). Each kind has its own module; this one tells them apart and compares them.
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
# A tag has no colon, so a prefix is never the beginning of a plain pattern.
_KIND_PREFIX = re.compile(r"\s*([A-Za-z0-9_.+-]+)\s*:", re.ASCII)


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A stage's tag pattern; raises InvalidTagPatternError if `text` is not one.

    Two patterns are equal if their texts are.
    """

    text: str
    matcher: Matcher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The class is frozen; the compiled form is set once, here.
        object.__setattr__(self, "matcher", _compile(self.text))

    def __str__(self) -> str:
        return self.text

    def matches(self, tag: str) -> bool:
        """Return whether the pattern matches the whole of `tag`; never raises, in linear time."""
        return self.matcher.matches(tag)

    @property
    def literal(self) -> str | None:
        """The one tag that a pattern names, escapes resolved; None if there is none.

        A range of one version names none: it matches with and without `v`.
        """
        named = self.matcher.literal if isinstance(self.matcher, Glob | Regex) else None
        return named if named is not None and is_tag(named) else None

    @property
    def by_semver(self) -> bool:
        """True for a range of versions: each tag that it matches is a version."""
        return isinstance(self.matcher, VersionRange)

    def near_miss(self, tag: str) -> str | None:
        """Return why a tag that is nearly a version does not match; None if it is neither."""
        return self.matcher.near_miss(tag) if isinstance(self.matcher, VersionRange) else None

    def covers(self, other: "TagPattern") -> bool:  # noqa: PLR0911 - a case for each pair of kinds
        """Return whether this pattern matches each tag that `other` matches.

        True is always correct. False may also mean that it is too hard to decide: the result is
        exact between plain patterns (except very large ones) and between ranges; between kinds only
        simple cases are recognised.
        """
        if self.text == other.text:
            return True
        # A pattern for one tag is covered if that tag matches, whatever the kinds.
        if other.literal is not None:
            return self.matches(other.literal)
        match self.matcher, other.matcher:
            case Glob() as mine, Glob() as theirs:
                return mine.covers(theirs)
            case VersionRange() as mine, VersionRange() as theirs:
                return mine.covers(theirs)
            # Only a pattern for every tag is sure to cover one of another kind.
            case Glob() as mine, _:
                return mine.covers(_ANY_TAG)
            case Regex() as mine, _:
                return mine.matches_every_tag
        return False


def parse_tag_pattern(text: str) -> TagPattern:
    """Parse a tag pattern of any kind; raise InvalidTagPatternError that names the fault."""
    return TagPattern(text)


# Stages are read again for each push, and their patterns rarely change.
@lru_cache(maxsize=256)
def _compile(text: str) -> Matcher:
    if len(text) > MAX_PATTERN_LENGTH:
        raise InvalidTagPatternError(
            f"the tag pattern has {len(text)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
        )
    if not text:
        raise InvalidTagPatternError("the tag pattern is empty; write * for every tag")
    # It is shown in lists, logs and terminals.
    if not text.isprintable():
        raise InvalidTagPatternError(
            f"the tag pattern {excerpt(text)} has a character that cannot be printed"
        )
    kind = _KIND_PREFIX.match(text)
    if not kind:
        return parse_glob(text)
    prefix, rest = kind[1], text[kind.end() :]
    parse = _KINDS.get(prefix)
    # `Semver:` and `semver :` would be plain patterns that match no tag.
    if parse is None or not text.startswith(f"{prefix}:"):
        raise InvalidTagPatternError(
            f"{excerpt(kind[0])} is not a kind of tag pattern: "
            "write a plain one such as v*, semver:RANGE or regex:RE"
        )
    return parse(rest)
