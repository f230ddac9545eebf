"""Semantic versions (semver.org 2.0.0) and npm's ranges of them.

node-semver spells a range out as plain comparisons. What it is given was held against npm's grammar first, because it lets
some garbage pass and its expressions were not written for hostile text; the comparisons themselves are made here.
"""

import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import nodesemver

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import MAX_TAG_LENGTH

Identifier = tuple[bool, int, str]
"""One part of a prerelease, as it sorts: numbers (False, n, "") before words (True, 0, word)."""

_NUMBER = r"(?:0|[1-9][0-9]*)"
_DOTTED = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_DOTTED}))?", re.ASCII)

_LIKE_A_VERSION = re.compile(r"(?:^|[^0-9A-Za-z])[vV]?[0-9]+(?:\.[0-9]+|$)", re.ASCII)
_WITH_ZEROS = re.compile(r"v?(?=[0-9.]*\b0[0-9])[0-9]+\.[0-9]+\.[0-9]+(?:-|$)", re.ASCII)

_ANY = r"[xX*]"
_PARTIAL = (
    rf"v?(?:{_ANY}(?:\.{_ANY}){{0,2}}|{_NUMBER}(?:\.{_ANY}){{0,2}}|{_NUMBER}\.{_NUMBER}(?:\.{_ANY})?"
    rf"|{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_DOTTED})?(?:\+{_DOTTED})?)"
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
_LEAST = (False, 0, "")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version in the order of precedence: 1.0.0-alpha.9 < 1.0.0-alpha.10 < 1.0.0 < 10.0.0. `final` is: no prerelease."""

    release: tuple[int, int, int]
    final: bool = True
    prerelease: tuple[Identifier, ...] = ()

    def successor(self) -> "Version":
        """The least version above this one that is as final as this one, within the same release if it is not."""
        if not self.final:
            return Version(self.release, final=False, prerelease=(*self.prerelease, _LEAST))
        major, minor, patch = self.release
        return Version((major, minor, patch + 1))


@dataclass(frozen=True, slots=True)
class Comparator:
    """A comparison with one version; `symbol` is `<`, `<=`, `>`, `>=`, `=` or empty, which is `=`."""

    symbol: str
    version: Version

    def admits(self, version: Version) -> bool:
        """Whether the comparison holds for `version`."""
        return bool(_COMPARE[self.symbol](version, self.version))


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Versions that satisfy all comparators of at least one alternative; one without comparators admits all that are final."""

    alternatives: tuple[tuple[Comparator, ...], ...]

    def matches(self, tag: str) -> bool:
        """Whether `tag` is a full version, `v` before it or not, within the range."""
        version = parse_version(tag)
        return version is not None and self.admits(version)

    def admits(self, version: Version) -> bool:
        """Whether `version` is within; a prerelease only where its alternative names one of the same release (npm's rule)."""
        return any(
            all(comparator.admits(version) for comparator in alternative)
            and (version.final or any(_invites(comparator, version) for comparator in alternative))
            for alternative in self.alternatives
        )

    def near_miss(self, tag: str) -> str | None:
        """What `tag` lacks to be within, where it looks much as if it were; None where it is, or is something else."""
        version = parse_version(tag)
        if version is None:
            return _no_version(tag)
        if version.final or self.admits(version):
            return None
        release = Version(version.release)
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
        """Whether no version is within."""
        return not any(
            map(self.admits, _turning_points({c.version for c in chain(*self.alternatives)}))
        )

    def covers(self, other: "VersionRange") -> bool:
        """Whether every version within `other` is within `self`.

        Whether a version is within can only change at a version that one of the two ranges names. So it is enough to ask
        about these, the versions next above them, and the least ones.
        """
        named = {c.version for c in chain(*self.alternatives, *other.alternatives)}
        return all(
            self.admits(version) for version in _turning_points(named) if other.admits(version)
        )


def parse_version(text: str) -> Version | None:
    """The full version that a tag is, with or without a leading `v`; None if it is none, or longer than a tag can be."""
    found = _VERSION.fullmatch(text) if len(text) <= MAX_TAG_LENGTH else None
    if not found:
        return None
    release = (int(found[1]), int(found[2]), int(found[3]))
    if found[4] is None:
        return Version(release)
    parts = found[4].split(".")
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in parts):
        return None
    return Version(release, final=False, prerelease=tuple(map(_identifier, parts)))


def _no_version(tag: str) -> str | None:
    """What a tag with numbers and dots in it lacks to be a version; None where it is nothing of the kind."""
    if not _LIKE_A_VERSION.search(tag):
        return None
    if parse_version(tag.lower()):
        return f"{tag} is not a full version: the letter before it must be a small v"
    if _WITH_ZEROS.match(tag):
        return f"{tag} is not a full version: its numbers must not begin with 0"
    return f"{tag} is not a full version (x.y.z)"


def parse_version_range(text: str) -> VersionRange:
    """Parse an npm range such as `^1.2 || >=3.0.0-rc.1 <4`; raise InvalidTagPatternError unless npm would take it.

    Stricter than npm in one point: nothing at all, or nothing beside a `||`, is refused, for `*` says that better.
    """
    alternatives = [_canonical(alternative, text) for alternative in text.split("||")]
    try:
        parsed = nodesemver.make_range(" || ".join(alternatives), loose=False)
    except ValueError as error:
        raise InvalidTagPatternError(
            f"{excerpt(text)} is not a range of versions: {error}"
        ) from error
    return VersionRange(tuple(tuple(_comparators(comparators)) for comparators in parsed.set))


def _canonical(alternative: str, whole: str) -> str:
    """`alternative` with single spaces, and none after an operator; raises unless the grammar allows it."""
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
                f"{excerpt(part)}{where} is not a version range. Examples: ^1.2, ~1.2.3, 1.x, >=1.2.0 <2, 1.2 - 2"
            )
    return joined


def _comparators(parsed: Iterable[nodesemver.Comparator]) -> Iterator[Comparator]:
    """node-semver's comparators as our own, less those that say "any"."""
    for comparator in parsed:
        if comparator.value:
            version = comparator.semver
            identifiers = tuple(_identifier(str(part)) for part in version.prerelease)
            release = (version.major, version.minor, version.patch)
            yield Comparator(
                comparator.operator, Version(release, final=not identifiers, prerelease=identifiers)
            )


def _identifier(part: str) -> Identifier:
    return (False, int(part), "") if part.isdigit() else (True, 0, part)


def _invites(comparator: Comparator, version: Version) -> bool:
    return not comparator.version.final and comparator.version.release == version.release


def _turning_points(named: Iterable[Version]) -> set[Version]:
    points = {Version((0, 0, 0))}
    for version in named:
        final = Version(version.release)
        points |= {final, final.successor()}
        if not version.final:
            points |= {
                Version(version.release, final=False, prerelease=(_LEAST,)),
                version,
                version.successor(),
            }
    return points
