"""Which of several tags is the newest, and by which rule: the same everywhere, whatever the order in which they are listed.

1. By version, where the names can be compared: in stages of the kind `semver:` by precedence, elsewhere as people read them
   (see `natural`).
2. Else by when the images were built, where both times can be true.
3. Else by when the tags were found, and of those found at once the one whose name sorts last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from tagboat.core.natural import NaturalNames, natural_key
from tagboat.core.semver import SemVer, parse_semver
from tagboat.core.tags import TagPattern

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Builds made to be reproducible stamp their images with the year 1, with 1970 or with 1980, which says nothing."""
_LATEST_AHEAD = timedelta(days=1)

FOUND_LATER = "was found later"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that may be the newest.

    `created` is when its image was built, as the registry has it; None when unknown. `found` is when the tag was found, in
    any unit: more is later.
    """

    tag: str
    created: datetime | None = None
    found: float = 0.0


class Names:
    """Tells which of `tags` are higher versions than others, in a stage with that `pattern`, as far as their names say."""

    def __init__(self, pattern: TagPattern, tags: Iterable[str]) -> None:
        self._by_semver = pattern.by_semver
        self._natural = NaturalNames(tags)

    def compare(self, one: str, other: str) -> int | None:
        """Above 0 where `one` is the higher version, below where `other` is, 0 for the same; None where names do not tell."""
        mine, theirs = self._version(one), self._version(other)
        if mine and theirs:
            return (mine > theirs) - (mine < theirs)
        return self._natural.compare(one, other)

    def place(self, tag: str) -> tuple[object, Any]:
        """A family and a number: of two tags of one family, the one with the greater number is the higher version."""
        version = self._version(tag)
        return ("", version) if version else (self._natural.family(tag), self._natural.head(tag))

    def _version(self, tag: str) -> SemVer | None:
        return parse_semver(tag) if self._by_semver else None


class Order:
    """The order of `candidates`, whose tags differ, in a stage with that `pattern`, as seen at the time `now` (UTC).

    `names` are those of more tags than these, where what they are can be told from the others.
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
        """That of some of them."""
        return Order(self._pattern, candidates, self._now, self._names)

    def contenders(self, count: int) -> list[Candidate]:
        """Those that may be among the `count` newest, as far as the beginnings of their names tell; in any order.

        The others are lower versions than `count` of these. It takes time linear in the number of candidates.
        """
        families: defaultdict[object, defaultdict[object, list[Candidate]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for candidate in self.candidates:
            family, head = self._names.place(candidate.tag)
            families[family][head].append(candidate)
        return [one for heads in families.values() for one in _highest(heads, count)]

    def first(self, count: int) -> list[Candidate]:
        """The `count` newest, or all if there are fewer; the newest first. Time grows with the square of all candidates."""
        beaten = self._beaten()
        left = {candidate.tag: candidate for candidate in self.candidates}
        chosen: list[Candidate] = []
        while left and len(chosen) < count:
            best = self._newest(
                [one for tag, one in left.items() if beaten[tag].isdisjoint(left)]
                or list(left.values())
            )
            del left[best.tag]
            chosen.append(best)
        return chosen

    def undecided(self, count: int) -> list[Candidate]:
        """Those that may be among the `count` newest, as far as names tell; none where they tell which these are."""
        beaten = self._beaten()
        open_ones = [
            candidate for candidate in self.candidates if len(beaten[candidate.tag]) < count
        ]
        return open_ones if len(open_ones) > count else []

    def by_name(self, one: str, other: str) -> int | None:
        """Above 0 where `one` is the higher version, below where `other` is, 0 for the same; None where names do not tell."""
        return self._names.compare(one, other)

    def rule(self, one: Candidate, other: Candidate) -> str:
        """The rule that puts `one` before `other`, in words that follow `one`; where it is only by way of others, none.

        Both may be other than the candidates, if `names` has them.
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
            return "was found with it and sorts after it, and neither versions nor dates tell which is newer,"
        return "is newer"

    def _newest(self, highest: Sequence[Candidate]) -> Candidate:
        """Of those to which none is the higher version, the one built last; it and those without a time go by the rest.

        Among three tags the rules can go round in a circle: so each is asked of what the one before it has left.
        """
        dated = [(built, _last_resort(one), one) for one in highest if (built := self._built(one))]
        youngest = [max(dated, key=lambda entry: entry[:2])[2]] if dated else []
        return max(youngest + [one for one in highest if not self._built(one)], key=_last_resort)

    def _beaten(self) -> dict[str, set[str]]:
        """For each tag, those that are higher versions."""
        beaten: dict[str, set[str]] = {candidate.tag: set() for candidate in self.candidates}
        for one, other in combinations(beaten, 2):
            if verdict := self.by_name(one, other):
                loser, winner = (other, one) if verdict > 0 else (one, other)
                beaten[loser].add(winner)
        return beaten

    def _built(self, candidate: Candidate) -> datetime | None:
        """When its image was built, if that can be true: after the year 2000, and before tomorrow."""
        created = candidate.created
        if created is None:
            return None
        aware = created if created.tzinfo else created.replace(tzinfo=UTC)
        return aware if _EARLIEST <= aware <= self._now + _LATEST_AHEAD else None


def _highest(heads: Mapping[Any, Sequence[Candidate]], count: int) -> list[Candidate]:
    """All that have the highest of `heads`, the next ones where these are fewer than `count`, and so on."""
    highest: list[Candidate] = []
    for head in sorted(heads, reverse=True):
        if len(highest) >= count:
            break
        highest += heads[head]
    return highest


def _last_resort(candidate: Candidate) -> tuple[object, ...]:
    return candidate.found, natural_key(candidate.tag)
