"""Tags as people read them: which of two names the later version, where the names alone say so.

Runs of digits are numbers, commit hashes say nothing, and `-rc1` comes before what it leads up to. A tag is cut into parts, at
`-` and `_` and before a word that follows a number: `v1.2.3-alpine3.19_4` is (1 2 3) (alpine 3 19) (4), and `1.0rc1` is
(1 0) (rc 1). Parts are compared in turn, until two differ.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType

_UUID_IN_TAG = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-z])")
_SEPARATORS = re.compile(r"[-_]+")
_DIGIT_RUNS = re.compile(r"[0-9]+|[^0-9.]+")
_HEX_DIGITS = re.compile(r"[0-9a-f]{7,64}")
_DESCRIBED = re.compile(r"g[0-9a-f]{7,64}")
_BEFORE_A_HASH = frozenset({"sha", "commit", "git", "g"})
_DATE = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_STARTS_WITH_DATE = re.compile(_DATE)
_DIGIT_DATE = re.compile(rf"{_DATE}(?:[0-9]{{4}}|[0-9]{{6}})?")
_YEARS = range(1990, 2100)
_PRERELEASES = MappingProxyType(
    {
        "dev": 1,
        "alpha": 2,
        "a": 2,
        "beta": 3,
        "b": 3,
        "milestone": 4,
        "m": 4,
        "pre": 5,
        "preview": 5,
        "rc": 6,
        "cr": 6,
    }
    | dict.fromkeys(
        ("canary", "edge", "ea", "nightly", "next", "prerelease", "snapshot", "unstable"), 0
    )
)
"""Words that lead up to a version, in their order. Of those at 0 nobody knows where they stand among the others."""
_REVISIONS = frozenset(
    {
        "build",
        "fix",
        "hotfix",
        "ls",
        "p",
        "patch",
        "post",
        "r",
        "rev",
        "revision",
        "sp",
        "u",
        "update",
    }
)
"""Words that follow a version and go beyond it."""
_NOTHING_MORE = frozenset({"final", "ga", "release"})
_KNOWN_WORDS = _PRERELEASES.keys() | _REVISIONS | _NOTHING_MORE


@dataclass(frozen=True, slots=True)
class _Part:
    """A word (in lower case, perhaps empty) and the numbers after it; `is_hash` is what says nothing."""

    word: str = ""
    numbers: tuple[int, ...] = ()
    is_hash: bool = False


_HASH = _Part(is_hash=True)


class NaturalNames:
    """Compares tags by their names. `tags` are all those in question: among hashes, digits alone are a hash too."""

    def __init__(self, tags: Iterable[str]) -> None:
        cut = {tag: _SEPARATORS.split(_UUID_IN_TAG.sub("g0000000", tag.lower())) for tag in tags}
        hashes = Counter(
            (place, len(text))
            for texts in cut.values()
            for place, text in enumerate(texts)
            if _is_plain_hash(text)
        )
        self._parts = {tag: tuple(_split_parts(texts, hashes)) for tag, texts in cut.items()}
        self._schemes = {tag: _scheme(parts) for tag, parts in self._parts.items()}

    def family(self, tag: str) -> tuple[object, ...]:
        """Tags of two families are never compared: up to the first numbers, all parts of their names must be alike."""
        words: list[object] = [self._schemes[tag]]
        for part in self._parts[tag]:
            words.append(part if part.is_hash else part.word)
            if part.numbers:
                return True, *words
        return False, *words

    def head(self, tag: str) -> tuple[int, ...]:
        """The first numbers, by which tags of one family are compared first; without zeros at the end."""
        numbers = next((list(part.numbers) for part in self._parts[tag] if part.numbers), [])
        while numbers and not numbers[-1]:
            numbers.pop()
        return tuple(numbers)

    def compare(self, one: str, other: str) -> int | None:
        """Above 0 where `one` names the later version, below where `other` does, 0 where both name the same; else None."""
        counted = False
        for mine, theirs in zip_longest(self._parts[one], self._parts[other]):
            if mine != theirs:
                verdict = _compare(mine, theirs, counted=counted)
                if verdict != 0:
                    return verdict if self._schemes[one] == self._schemes[other] else None
            counted = counted or bool(mine and mine.numbers)
        return 0


def natural_key(tag: str) -> tuple[object, ...]:
    """By which any tags sort, numbers as numbers: where nothing tells which is newer, so that it is always the same one."""
    tokens = re.findall(r"[0-9]+|[^0-9]+", tag.lower())
    return tuple(
        (1, int(token), "") if token[0].isdigit() else (0, 0, token) for token in tokens
    ), tag


def _is_plain_hash(text: str) -> bool:
    """Whether it can be nothing but (the beginning of) a hash: letters and digits, and no date with a letter to it."""
    if not _HEX_DIGITS.fullmatch(text) or _STARTS_WITH_DATE.match(text):
        return False
    return not text.isdigit() and not text.isalpha()


def _split_parts(texts: list[str], hashes: Counter[tuple[int, int]]) -> Iterable[_Part]:
    before = ""
    for place, text in enumerate(texts):
        can_be = bool(_HEX_DIGITS.fullmatch(text)) and not _DIGIT_DATE.fullmatch(text)
        among_hashes = can_be and (hashes[place, len(text)] or before in _BEFORE_A_HASH)
        if _is_plain_hash(text) or among_hashes or _DESCRIBED.fullmatch(text):
            yield _HASH
        elif text:
            yield from _words_and_numbers(text)
        before = text


def _words_and_numbers(text: str) -> Iterable[_Part]:
    words: list[str] = []
    numbers: list[int] = []
    for token in _DIGIT_RUNS.findall(text):
        if token[0].isdigit():
            numbers.append(int(token))
            continue
        if numbers:
            yield _part(words, numbers)
            words, numbers = [], []
        words.append(token)
    yield _part(words, numbers)


def _part(words: list[str], numbers: list[int]) -> _Part:
    word = ".".join(words)
    return _Part("" if word == "v" and numbers else word, tuple(numbers))


def _compare(mine: _Part | None, theirs: _Part | None, *, counted: bool) -> int | None:
    """Compare two parts that differ, in the same place of two names. `counted` is whether there were numbers before them."""
    if mine is None or theirs is None:
        beyond = _beyond(mine or theirs or _HASH) if counted else None
        return beyond if beyond is None or mine else -beyond
    if mine.is_hash or theirs.is_hash:
        return None
    if mine.word != theirs.word:
        verdict = _by_words(mine, theirs) if counted else None
        if verdict != 0:
            return verdict
    if not counted and not (mine.numbers and theirs.numbers):  # main and main5
        return None
    pairs = list(zip_longest(mine.numbers, theirs.numbers, fillvalue=0))
    differing = next(((one, other) for one, other in pairs if one != other), None)
    return differing[0] - differing[1] if differing else 0


def _beyond(part: _Part) -> int | None:
    """What a part does to the version before it: leads up to it (-1), goes beyond it (1), or neither (0, None)."""
    if part.is_hash:
        return None
    if part.word in _PRERELEASES:
        # `1.0a` may be an alpha as well as the revision after 1.0.
        return None if len(part.word) == 1 and not part.numbers else -1
    if part.word in _REVISIONS:
        return 1
    if part.word in _NOTHING_MORE:
        return 0
    if part.word:
        return None
    return 1 if any(part.numbers) else 0


def _by_words(mine: _Part, theirs: _Part) -> int | None:
    """Which is the later of two parts with different words after the same version; 0 where the words say the same."""
    ranks = _PRERELEASES.get(mine.word), _PRERELEASES.get(theirs.word)
    if ranks[0] and ranks[1]:
        return ranks[0] - ranks[1]
    if ranks[0] is not None and ranks[1] is not None:
        return None
    letters = len(mine.word) == len(theirs.word) == 1 and not mine.numbers and not theirs.numbers
    if letters:
        return 1 if mine.word > theirs.word else -1
    if ranks[0] is None and ranks[1] is None:
        return None
    return -1 if ranks[0] is not None else 1


def _scheme(parts: Sequence[_Part]) -> tuple[str, ...]:
    """How a name counts. Two names that count in different ways cannot be compared by what they count.

    By dates (`2026.11.28`, `20261128`), or by one number of something else (`123-fix-login` is no later than `99-new-page`),
    or by versions.
    """
    place = next((place for place, part in enumerate(parts) if part.numbers), None)
    if place is None:
        return ()
    first, *more = parts[place].numbers
    after = parts[place + 1 :]
    if _DIGIT_DATE.fullmatch(str(first)):
        return ("date",)
    if first in _YEARS and (more or (after and not after[0].word and after[0].numbers)):
        return ("year",)
    return (
        ()
        if more
        else tuple(part.word for part in after if part.word and part.word not in _KNOWN_WORDS)
    )
