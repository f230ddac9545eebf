"""Plain tag patterns: the semantics of Go's `path.Match`, run as an automaton.

`*` is any run without `/`, `?` one character except `/`, `[a-z]` and `[^a-z]` are classes, and a
backslash escapes the next character. All positions at which a match can be are the bits of one
integer. So a match takes time linear in the tag, never backtracks, and two patterns are compared by
running both automata at once.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import MAX_TAG_LENGTH

_TAG_FIRST = string.ascii_letters + string.digits + "_"
_TAG_CHARS = _TAG_FIRST + ".-"
# Bit 0: the position before the first place.
_START = 1
# Comparing two patterns may need exponentially many states; what people write needs far fewer.
_MAX_STATES = 1000


class CharClass(Struct, frozen=True):
    """The characters that one place of a pattern allows: inclusive `ranges`, or all others."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def admits(self, char: str) -> bool:
        """Return whether `char` is allowed at this place."""
        return any(low <= char <= high for low, high in self.ranges) is not self.negated

    @property
    def only(self) -> str | None:
        """The one character that is allowed here; None if there are several."""
        if self.negated or len(self.ranges) != 1:
            return None
        low, high = self.ranges[0]
        return low if low == high else None


_ANY_BUT_SLASH = CharClass((("/", "/"),), negated=True)


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed pattern.

    Bit i of `stars` means that a `*` is before place i; the last bit is for one after all places.
    `admitting` has, for each character that a tag can have, the places that allow it, as bits.
    """

    places: tuple[CharClass, ...]
    stars: int
    admitting: Mapping[str, int] = field(repr=False, compare=False)

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the whole of `text`."""
        # A `*` at the end matches the rest, so the rest need not be read.
        settled = 0 if "/" in text else self.stars & 1 << len(self.places)
        states = _START
        for char in text:
            if states & settled:
                return True
            states = self.step(states, char)
            if not states:
                return False
        return self.accepts(states)

    @property
    def literal(self) -> str | None:
        """The one text that the pattern names, escapes resolved; None if there is no such text."""
        named = [place.only for place in self.places]
        return None if self.stars or None in named else "".join(filter(None, named))

    @property
    def example(self) -> str | None:
        """A tag that the pattern matches, as short as is easy to find; None where none is."""
        chars = ["a"] if self.stars & _START else []
        for place in self.places:
            char = place.only or next(filter(place.admits, _TAG_FIRST), None)
            if char is None or char not in _TAG_CHARS:
                return None
            chars.append(char)
        is_tag = chars and chars[0] in _TAG_FIRST and len(chars) <= MAX_TAG_LENGTH
        return "".join(chars) if is_tag else None

    def is_empty(self, *, lower_case: bool = False) -> bool:
        """Return whether no tag, or no tag in lower case, can match."""
        states, letters = _START, _TAG_FIRST
        for _ in range(MAX_TAG_LENGTH):
            before, states = states, 0
            for char in letters:
                if not (lower_case and char.isupper()):
                    states |= self.step(before, char)
            if self.accepts(states):
                return False
            letters = _TAG_CHARS
        return True

    def covers(self, other: "Glob") -> bool:
        """Return whether this pattern matches each tag that `other` matches.

        False also if that is too hard to decide.
        """
        # Nearly always one tag shows it at once: a project may have hundreds of patterns.
        if (example := other.example) is not None and not self.matches(example):
            return False
        # One letter for each set of letters that neither pattern distinguishes is enough.
        letters, later_letters = (
            list({(self.admitting[c], other.admitting[c]): c for c in alphabet}.values())
            for alphabet in (_TAG_FIRST, _TAG_CHARS)
        )
        seen: set[tuple[int, int]] = set()
        # Pairs of positions in both automata that the same tag can reach.
        frontier = {(_START, _START)}
        for _ in range(MAX_TAG_LENGTH):
            reached = {
                (other.step(theirs, c), self.step(mine, c))
                for theirs, mine in frontier
                for c in letters
            }
            frontier = {(theirs, mine) for theirs, mine in reached - seen if theirs}
            if any(other.accepts(theirs) and not self.accepts(mine) for theirs, mine in frontier):
                return False
            seen |= frontier
            if len(seen) > _MAX_STATES:
                return False
            letters = later_letters
        return True

    def step(self, states: int, char: str) -> int:
        """Return the positions (as bits) of a match after `char`, given those before it."""
        admitting = self.admitting.get(char)
        # The table has the characters that a tag can have.
        if admitting is None:
            admitting = _places_admitting(char, self.places)
        # A `*` does not match a slash.
        staying = self.stars if char != "/" else 0
        return (states & admitting) << 1 | states & staying

    def accepts(self, states: int) -> bool:
        """Return whether the text may end with a match at one of the positions `states`."""
        return bool(states >> len(self.places) & 1)


def parse_glob(text: str) -> Glob:
    """Parse a pattern; raise InvalidTagPatternError where `path.Match` returns ErrBadPattern."""
    places: list[CharClass] = []
    stars = at = 0
    while at < len(text):
        if text[at] == "*":
            stars |= 1 << len(places)
            at += 1
            continue
        if text[at] == "?":
            place, at = _ANY_BUT_SLASH, at + 1
        elif text[at] == "[":
            place, at = _parse_class(text, at)
        else:
            at += text[at] == "\\"
            if at == len(text):
                raise InvalidTagPatternError(
                    f"the pattern {excerpt(text)} ends in a backslash; "
                    "write \\\\ for a backslash itself"
                )
            place, at = CharClass(((text[at], text[at]),)), at + 1
        places.append(place)
    return Glob(
        tuple(places), stars, {char: _places_admitting(char, places) for char in _TAG_CHARS}
    )


def _parse_class(text: str, opened: int) -> tuple[CharClass, int]:
    at = opened + 1
    negated = text.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    # The first character cannot be the closing bracket.
    while not (ranges and text.startswith("]", at)):
        low, at = _parse_class_char(text, at, opened)
        high = low
        if text.startswith("-", at):
            high, at = _parse_class_char(text, at + 1, opened)
        ranges.append((low, high))
    return CharClass(tuple(ranges), negated), at + 1


def _parse_class_char(text: str, at: int, opened: int) -> tuple[str, int]:
    if text[at : at + 1] in ("-", "]"):
        raise InvalidTagPatternError(
            f"in the pattern {excerpt(text)}, character {at + 1}: "
            f"write \\{text[at]} for a {text[at]} within [ ]"
        )
    if text.startswith("\\", at):
        at += 1
    if at >= len(text):
        raise InvalidTagPatternError(
            f"in the pattern {excerpt(text)}, the [ at character {opened + 1} has no ]; "
            "write \\[ for a [ itself"
        )
    return text[at], at + 1


def _places_admitting(char: str, places: Sequence[CharClass]) -> int:
    return sum(1 << i for i, place in enumerate(places) if place.admits(char))
