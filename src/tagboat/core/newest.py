"""The newest of several tags, and the rule that says so, in whatever order they are listed.

1. By version, if the names can be compared: in stages of the kind `semver:` by precedence,
   elsewhere as people read them (see `natural`).
2. Else by when the images were built, if both times are plausible.
3. Else by when the tags were found; of those found at once, the name that sorts last.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, cast

from msgspec import Struct

from tagboat.core.natural import NaturalNames, natural_key
from tagboat.core.semver import SemVer, parse_semver
from tagboat.core.tags import TagPattern

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Reproducible builds stamp their images with the year 1, 1970 or 1980, which says nothing."""
# Tolerance for clocks and time zones of build machines.
_LATEST_AHEAD = timedelta(days=1)

FOUND_LATER = "was found later"


class Candidate(Struct, frozen=True):
    """A tag that may be the newest.

    `created` is when its image was built, as the registry states it; None if unknown. `found` is
    when the tag was found, in any unit: more is later.
    """

    tag: str
    created: datetime | None = None
    found: float = 0.0


class Names:
    """Compares the names of `tags` as versions, in a stage with `pattern`."""

    def __init__(self, pattern: TagPattern, tags: Iterable[str]) -> None:
        self._by_semver = pattern.by_semver
        self._natural = NaturalNames(tags)

    def compare(self, one: str, other: str) -> int | None:
        """Return more than 0 if `one` is the higher version, less if `other` is, 0 if equal.

        None if their names cannot be compared.
        """
        mine, theirs = self._version(one), self._version(other)
        if mine and theirs:
            return (mine > theirs) - (mine < theirs)
        return self._natural.compare(one, other)

    def place(self, tag: str) -> tuple[object, Any]:
        """Return a family and a number: in one family, the greater number is a higher version."""
        version = self._version(tag)
        return ("", version) if version else (self._natural.family(tag), self._natural.head(tag))

    def _version(self, tag: str) -> SemVer | None:
        return parse_semver(tag) if self._by_semver else None


class Order:
    """The order of `candidates`, whose tags differ, in a stage with `pattern`, at `now` (UTC).

    `names` may know more tags than these: hashes are recognised by their neighbours.
    """

    def __init__(
        self,
        pattern: TagPattern,
        candidates: Sequence[Candidate],
        now: datetime,
        names: Names | None = None,
    ) -> None:
        self.candidates = candidates
        self._pattern = pattern
        self._now = now
        self._names = names or Names(pattern, [candidate.tag for candidate in candidates])

    def only(self, candidates: Sequence[Candidate]) -> "Order":
        """Return the order of some of the candidates."""
        return Order(self._pattern, candidates, self._now, self._names)

    def contenders(self, count: int) -> list[Candidate]:
        """Return those that may be among the `count` newest by the start of their names, unordered.

        The others are lower versions than `count` of these. Takes linear time.
        """
        # Only the first numbers are looked at: thousands of tags are too many for pairs.
        families: defaultdict[object, defaultdict[object, list[Candidate]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for candidate in self.candidates:
            family, head = self._names.place(candidate.tag)
            families[family][head].append(candidate)
        contenders: list[Candidate] = []
        for heads in families.values():
            highest: list[Candidate] = []
            for head in sorted(cast("dict[Any, list[Candidate]]", heads), reverse=True):
                if len(highest) >= count:
                    break
                highest += heads[head]
            contenders += highest
        return contenders

    def first(self, count: int) -> list[Candidate]:
        """Return the `count` newest, the newest first. Takes quadratic time."""
        beaten = self._beaten()
        left = {candidate.tag: candidate for candidate in self.candidates}
        chosen: list[Candidate] = []
        while left and len(chosen) < count:
            highest = [one for tag, one in left.items() if beaten[tag].isdisjoint(left)]
            # Comparisons by name may contradict each other in a circle, which leaves none.
            best = self._last_built(highest or list(left.values()))
            del left[best.tag]
            chosen.append(best)
        return chosen

    def undecided(self, count: int) -> list[Candidate]:
        """Return those that may be among the `count` newest by name; none if names settle it."""
        beaten = self._beaten()
        open_ones = [
            candidate for candidate in self.candidates if len(beaten[candidate.tag]) < count
        ]
        # If all of them fit, their order does not matter.
        return open_ones if len(open_ones) > count else []

    def by_name(self, one: str, other: str) -> int | None:
        """Compare two tags by name, as `Names.compare` does."""
        return self._names.compare(one, other)

    def rule(self, one: Candidate, other: Candidate) -> str:
        """Return the rule that puts `one` before `other`, in words that follow `one`.

        "is newer" if it does so only by way of other candidates. Both need not be candidates if
        `names` knows them.
        """
        by_name = self.by_name(one.tag, other.tag)
        if by_name:
            return "is the higher version" if by_name > 0 else "is newer"
        built = self._built(one), self._built(other)
        if built[0] and built[1] and built[0] != built[1]:
            return "was built later" if built[0] > built[1] else "is newer"
        if one.found != other.found:
            return FOUND_LATER if one.found > other.found else "is newer"
        if natural_key(one.tag) > natural_key(other.tag):
            return (
                "was found with it and sorts after it, "
                "and neither versions nor dates show which is newer,"
            )
        return "is newer"

    def _last_built(self, highest: Sequence[Candidate]) -> Candidate:
        """Return the newest of those to which no other is the higher version."""
        # Pair by pair, the rules can go round in a circle among three tags. So each rule is applied
        # to what the one before it has left: the last built one competes with those without a time.
        dated = [(built, _last_resort(one), one) for one in highest if (built := self._built(one))]
        youngest = [max(dated, key=lambda entry: entry[:2])[2]] if dated else []
        return max(youngest + [one for one in highest if not self._built(one)], key=_last_resort)

    def _beaten(self) -> dict[str, set[str]]:
        """Return, for each tag, those that are higher versions."""
        beaten: dict[str, set[str]] = {candidate.tag: set() for candidate in self.candidates}
        for one, other in combinations(beaten, 2):
            if verdict := self.by_name(one, other):
                loser, winner = (other, one) if verdict > 0 else (one, other)
                beaten[loser].add(winner)
        return beaten

    def _built(self, candidate: Candidate) -> datetime | None:
        """Return when its image was built, if plausible: after the year 2000, before tomorrow."""
        created = candidate.created
        if created is None:
            return None
        aware = created if created.tzinfo else created.replace(tzinfo=UTC)
        return aware if _EARLIEST <= aware <= self._now + _LATEST_AHEAD else None


def _last_resort(candidate: Candidate) -> tuple[object, ...]:
    return candidate.found, natural_key(candidate.tag)
