"""Tag patterns, and which of several tags is the newest.

A pattern is written `semver:RANGE` (npm's ranges), `regex:RE` (RE2's syntax), or plain (Go's `path.Match`). Each kind lives in
a file of its own; here they are told apart, compared with each other, and held to one length.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt
from tagboat.core.glob import Glob, parse_glob
from tagboat.core.image import is_tag
from tagboat.core.regex import Regex, parse_regex
from tagboat.core.semver import Version, VersionRange, parse_short_version, parse_version, parse_version_range

MAX_PATTERN_LENGTH = 255

_ANY_TAG = parse_glob("*")

Matcher = Glob | VersionRange | Regex
_KINDS: dict[str, Callable[[str], Matcher]] = {"semver": parse_version_range, "regex": parse_regex}
_KIND = re.compile(r"\s*([A-Za-z0-9_.+-]+)\s*:", re.ASCII)
# Builds made to be reproducible stamp their images with the year 1, with 1970 or with 1 January 1980, which says nothing.
_EARLIEST_CREATED = datetime(1980, 1, 2, tzinfo=UTC)


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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that may be the newest. `created` is when its image was built, as the registry has it; None when unknown."""

    tag: str
    created: datetime | None = None


def parse_tag_pattern(text: str) -> TagPattern:
    """Parse `semver:RANGE`, `regex:RE` or a plain pattern; raise InvalidTagPatternError naming what is wrong."""
    return TagPattern(text)


def is_semver(tag: str) -> bool:
    """Whether `newest` orders `tag` as a version, so that nobody need ask when its image was created."""
    return _version(tag) is not None


def newest(candidates: Sequence[Candidate]) -> Candidate:
    """The newest of at least one candidate, which are given in the order found.

    Versions (`1.2.3`, `v1.2.3`, and for this purpose `v1`, `1.2`, `v1.2`) go by precedence. What that leaves open goes by time
    of creation where both are known; else the one found later wins. Among three tags these rules can go round in a circle, so
    the versions choose their best first, the rest theirs, and then these two are compared: no version loses to a lower one.
    """
    if not candidates:
        raise ValueError("there is no newest of no candidates")
    found = [(place, candidate, _version(candidate.tag)) for place, candidate in enumerate(candidates)]
    best = max((version for _, _, version in found if version), default=None)
    best_versions = [(place, candidate) for place, candidate, version in found if version and version == best]
    others = [(place, candidate) for place, candidate, version in found if not version]
    return _latest([_latest(group) for group in (best_versions, others) if group])[1]


def newer_by(one: Candidate, other: Candidate, *, found_later: bool) -> str:
    """The rule by which `newest` puts `one` before `other`, in words that follow `one`; where it is by way of others, none.

    `found_later` is whether `one` was found after `other`.
    """
    versions = _version(one.tag), _version(other.tag)
    if versions[0] and versions[1] and versions[0] != versions[1]:
        return "is the higher version" if versions[0] > versions[1] else "is newer"
    built = _known_creation(one), _known_creation(other)
    if built[0] and built[1] and built[0] != built[1]:
        return "was built later" if built[0] > built[1] else "is newer"
    return "was found later" if found_later else "is newer"


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


def _latest(found: list[tuple[int, Candidate]]) -> tuple[int, Candidate]:
    """By time of creation among those whose time is known; then the one found last of that and of all the others."""
    dated = [(created, place, candidate) for place, candidate in found if (created := _known_creation(candidate))]
    undated = [(place, candidate) for place, candidate in found if not _known_creation(candidate)]
    youngest = [max(dated, key=lambda entry: entry[:2])[1:]] if dated else []
    return max(youngest + undated, key=lambda entry: entry[0])


def _known_creation(candidate: Candidate) -> datetime | None:
    created = candidate.created
    if created is None:
        return None
    aware = created if created.tzinfo else created.replace(tzinfo=UTC)
    return aware if aware >= _EARLIEST_CREATED else None


def _version(tag: str) -> Version | None:
    return parse_version(tag) or parse_short_version(tag)


@lru_cache(maxsize=256)  # stages are read afresh for every push, and their patterns hardly ever change
def _compile(text: str) -> Matcher:
    if len(text) > MAX_PATTERN_LENGTH:
        raise InvalidTagPatternError(f"the tag pattern has {len(text)} characters; at most {MAX_PATTERN_LENGTH} are allowed")
    if not text:
        raise InvalidTagPatternError("the tag pattern is empty; write * for every tag")
    if not text.isprintable():
        raise InvalidTagPatternError(f"the tag pattern {excerpt(text)} has a character that cannot be printed")
    kind = _KIND.match(text)
    if not kind:
        return parse_glob(text)
    prefix, rest = kind[1], text[kind.end() :]
    parse = _KINDS.get(prefix)
    if parse is None or not text.startswith(f"{prefix}:"):
        raise InvalidTagPatternError(
            f"{excerpt(kind[0])} is no kind of tag pattern: write a plain one such as v*, semver:RANGE or regex:RE"
        )
    return parse(rest)
