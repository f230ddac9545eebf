"""Semantic versions (semver.org 2.0.0) and npm's ranges of them.

node-semver expands a range into plain comparisons. Its input is checked against npm's grammar
first, because it accepts some invalid text and its expressions are not safe for hostile input. The
comparisons themselves are made here.
"""

import operator
import re
from collections.abc import Iterable
from itertools import chain

import nodesemver
from msgspec import Struct

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import MAX_TAG_LENGTH

Identifier = tuple[bool, int, str]
"""One part of a prerelease, in sort order: numbers (False, n, "") before words (True, 0, word)."""

_NUMERIC = r"(?:0|[1-9][0-9]*)"
_DOTTED = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
# Without build metadata: a tag cannot contain a plus sign.
_FULL_VERSION = re.compile(
    rf"v?({_NUMERIC})\.({_NUMERIC})\.({_NUMERIC})(?:-({_DOTTED}))?", re.ASCII
)

# A number with a dot, or a number at the end, not within a word.
_LIKE_A_VERSION = re.compile(r"(?:^|[^0-9A-Za-z])[vV]?[0-9]+(?:\.[0-9]+|$)", re.ASCII)
_WITH_ZEROS = re.compile(r"v?(?=[0-9.]*\b0[0-9])[0-9]+\.[0-9]+\.[0-9]+(?:-|$)", re.ASCII)

_ANY = r"[xX*]"
# npm's "Range Grammar".
_PARTIAL = (
    rf"v?(?:{_ANY}(?:\.{_ANY}){{0,2}}|{_NUMERIC}(?:\.{_ANY}){{0,2}}|{_NUMERIC}\.{_NUMERIC}"
    rf"(?:\.{_ANY})?"
    rf"|{_NUMERIC}\.{_NUMERIC}\.{_NUMERIC}(?:-{_DOTTED})?(?:\+{_DOTTED})?)"
)
_OPERATOR = r"(?:<=|>=|<|>|=|~>|~|\^)"
_SIMPLE = re.compile(rf"{_OPERATOR}?{_PARTIAL}", re.ASCII)
_HYPHEN = re.compile(rf"{_PARTIAL} - {_PARTIAL}", re.ASCII)
_OPERATOR_AND_SPACE = re.compile(rf"({_OPERATOR}) ", re.ASCII)

_COMPARE = {
    "": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# The identifier that sorts before all others.
_LEAST = (False, 0, "")


class SemVer(Struct, frozen=True, order=True):
    """A version, ordered by precedence: 1.0.0-alpha.9 < 1.0.0-alpha.10 < 1.0.0 < 10.0.0.

    `final` means that it is not a prerelease.
    """

    release: tuple[int, int, int]
    final: bool = True
    prerelease: tuple[Identifier, ...] = ()

    def successor(self) -> "SemVer":
        """Return the lowest version above this one that is final if this one is.

        For a prerelease it is in the same release.
        """
        if not self.final:
            return SemVer(self.release, final=False, prerelease=(*self.prerelease, _LEAST))
        major, minor, patch = self.release
        return SemVer((major, minor, patch + 1))


class Comparator(Struct, frozen=True):
    """A comparison with one version; `symbol` is `<`, `<=`, `>`, `>=`, `=`, or empty for `=`."""

    symbol: str
    version: SemVer

    def admits(self, version: SemVer) -> bool:
        """Return whether the comparison is true for `version`."""
        return bool(_COMPARE[self.symbol](version, self.version))


class VersionRange(Struct, frozen=True):
    """The versions that satisfy all comparators of at least one alternative.

    An alternative without comparators allows all final versions.
    """

    alternatives: tuple[tuple[Comparator, ...], ...]

    def matches(self, tag: str) -> bool:
        """Return whether `tag` is a full version in the range, with or without a leading `v`."""
        version = parse_semver(tag)
        return version is not None and self.admits(version)

    def admits(self, version: SemVer) -> bool:
        """Return whether `version` is in the range.

        A prerelease only if its alternative names a prerelease of the same release (npm's rule).
        """
        return any(
            all(comparator.admits(version) for comparator in alternative)
            and (version.final or any(_invites(comparator, version) for comparator in alternative))
            for alternative in self.alternatives
        )

    def near_miss(self, tag: str) -> str | None:
        """Return the reason why a tag that looks like a version in the range is not; else None."""
        version = parse_semver(tag)
        if version is None:
            return _why_no_version(tag)
        if version.final or self.admits(version):
            return None
        release = SemVer(version.release)
        named = any(
            _invites(comparator, version)
            for alternative in self.alternatives
            for comparator in alternative
        )
        if named or not self.admits(release):
            return None
        return f"{tag} is a prerelease, and the range names none of that release"

    @property
    def is_empty(self) -> bool:
        """True if no version is in the range."""
        return not any(
            map(self.admits, _turning_points({c.version for c in chain(*self.alternatives)}))
        )

    def covers(self, other: "VersionRange") -> bool:
        """Return whether each version in `other` is in `self`.

        Membership can change only at a version that one of the two ranges names. So it is enough to
        test these versions, the ones next above them, and the lowest ones.
        """
        named = {c.version for c in chain(*self.alternatives, *other.alternatives)}
        return all(
            self.admits(version) for version in _turning_points(named) if other.admits(version)
        )


def parse_semver(text: str) -> SemVer | None:
    """Return the version that a tag is, with or without a leading `v`; None if it is not one."""
    found = _FULL_VERSION.fullmatch(text) if len(text) <= MAX_TAG_LENGTH else None
    if not found:
        return None
    release = (int(found[1]), int(found[2]), int(found[3]))
    if found[4] is None:
        return SemVer(release)
    parts = found[4].split(".")
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in parts):
        return None
    return SemVer(release, final=False, prerelease=tuple(map(_identifier, parts)))


def _why_no_version(tag: str) -> str | None:
    """Return the reason why a tag with numbers and dots is not a version; None for other tags."""
    if not _LIKE_A_VERSION.search(tag):
        return None
    if parse_semver(tag.lower()):
        return f"{tag} is not a full version: the letter before it must be a small v"
    if _WITH_ZEROS.match(tag):
        return f"{tag} is not a full version: its numbers must not begin with 0"
    return f"{tag} is not a full version (x.y.z)"


def parse_version_range(text: str) -> VersionRange:
    """Parse an npm range such as `^1.2 || >=3.0.0-rc.1 <4`.

    Raises InvalidTagPatternError unless npm accepts it. Stricter than npm in one point: an empty
    range or alternative is refused, because `*` says it better.
    """
    alternatives = [_normalised(alternative, text) for alternative in text.split("||")]
    try:
        parsed = nodesemver.make_range(" || ".join(alternatives), loose=False)
    except ValueError as error:
        raise InvalidTagPatternError(
            f"{excerpt(text)} is not a range of versions: {error}"
        ) from error
    found: list[tuple[Comparator, ...]] = []
    for comparators in parsed.set:
        alternative: list[Comparator] = []
        for one in comparators:
            # A comparator without a value means "any".
            if one.value:
                version = one.semver
                identifiers = tuple(_identifier(str(part)) for part in version.prerelease)
                release = (version.major, version.minor, version.patch)
                named = SemVer(release, final=not identifiers, prerelease=identifiers)
                alternative.append(Comparator(one.operator, named))
        found.append(tuple(alternative))
    return VersionRange(tuple(found))


def _normalised(alternative: str, whole: str) -> str:
    spaced = " ".join(alternative.split())
    if not spaced:
        where = "next to a ||" if "||" in whole else "in it"
        raise InvalidTagPatternError(
            f"the range {excerpt(whole)} has nothing {where}; write * for any version"
        )
    if _HYPHEN.fullmatch(spaced):
        return spaced
    joined = _OPERATOR_AND_SPACE.sub(r"\1", spaced)
    for part in joined.split(" "):
        if not _SIMPLE.fullmatch(part):
            where = "" if part == whole.strip() else f" in {excerpt(whole)}"
            raise InvalidTagPatternError(
                f"{excerpt(part)}{where} is not a version range. "
                "Examples: ^1.2, ~1.2.3, 1.x, >=1.2.0 <2, 1.2 - 2"
            )
    return joined


def _identifier(part: str) -> Identifier:
    return (False, int(part), "") if part.isdigit() else (True, 0, part)


def _invites(comparator: Comparator, version: SemVer) -> bool:
    return not comparator.version.final and comparator.version.release == version.release


def _turning_points(named: Iterable[SemVer]) -> set[SemVer]:
    # The lowest final version; membership changes only at or right after a named one.
    points = {SemVer((0, 0, 0))}
    for version in named:
        final = SemVer(version.release)
        points |= {final, final.successor()}
        if not version.final:
            points |= {
                SemVer(version.release, final=False, prerelease=(_LEAST,)),
                version,
                version.successor(),
            }
    return points
