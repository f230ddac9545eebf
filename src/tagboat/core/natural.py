"""Natural order of tags: which of two names is the later version, if the names alone say so.

Runs of digits are numbers, commit hashes say nothing, and `-rc1` comes before its release. A tag is
split into parts, at `-` and `_` and before a word that follows a number: `v1.2.3-alpine3.19_4` is
(1 2 3) (alpine 3 19) (4), and `1.0rc1` is (1 0) (rc 1). Parts are compared in turn, until two
differ.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from types import MappingProxyType

from msgspec import Struct

_UUID_IN_TAG = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-z])")
_SEPARATORS = re.compile(r"[-_]+")
_DIGIT_RUNS = re.compile(r"[0-9]+|[^0-9.]+")
_HEX_DIGITS = re.compile(r"[0-9a-f]{7,64}")
_DESCRIBED = re.compile(r"g[0-9a-f]{7,64}")
_BEFORE_A_HASH = frozenset({"sha", "commit", "git", "g"})
_DATE = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_STARTS_WITH_DATE = re.compile(_DATE)
_DIGIT_DATE = re.compile(rf"{_DATE}(?:[0-9]{{4}}|[0-9]{{6}})?")
# Numbers outside are versions: 1.2, or 3000.
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
"""Words for versions before a release, in their order. Those at 0 have no place in it."""
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
"""Words for revisions after a release."""
_NOTHING_MORE = frozenset({"final", "ga", "release"})
_KNOWN_WORDS = _PRERELEASES.keys() | _REVISIONS | _NOTHING_MORE


class _Part(Struct, frozen=True):
    """A word (in lower case, perhaps empty) and the numbers after it, or a hash."""

    word: str = ""
    numbers: tuple[int, ...] = ()
    is_hash: bool = False


_HASH = _Part(is_hash=True)


class NaturalNames:
    """Compares `tags` by their names. Next to hashes of equal length, digits alone are one too."""

    def __init__(self, tags: Iterable[str]) -> None:
        # A UUID contains separators: replaced by a hash, it is one part.
        cut = {tag: _SEPARATORS.split(_UUID_IN_TAG.sub("g0000000", tag.lower())) for tag in tags}
        hashes = Counter(
            (place, len(text))
            for texts in cut.values()
            for place, text in enumerate(texts)
            if _is_plain_hash(text)
        )
        self._parts = {tag: tuple(_split_parts(texts, hashes)) for tag, texts in cut.items()}
        self._schemes = {tag: counting_scheme(parts) for tag, parts in self._parts.items()}

    def family(self, tag: str) -> tuple[object, ...]:
        """Return what must be equal to compare two tags: all parts up to the first numbers."""
        words: list[object] = [self._schemes[tag]]
        for part in self._parts[tag]:
            words.append(part if part.is_hash else part.word)
            if part.numbers:
                return True, *words
        return False, *words

    def head(self, tag: str) -> tuple[int, ...]:
        """Return the first numbers, without zeros at the end. They come first in a comparison."""
        numbers = next((list(part.numbers) for part in self._parts[tag] if part.numbers), [])
        while numbers and not numbers[-1]:
            numbers.pop()
        # The leading 0 or 1 keeps numbers from being compared with words.
        return tuple(numbers)

    def compare(self, one: str, other: str) -> int | None:
        """Return more than 0 if `one` names the later version, less if `other` does, 0 if equal.

        None if they cannot be compared.
        """
        counted = False
        for mine, theirs in zip_longest(self._parts[one], self._parts[other]):
            if mine != theirs:
                verdict = compare_parts(mine, theirs, counted=counted)
                if verdict != 0:
                    # A date and a version number say nothing about each other.
                    return verdict if self._schemes[one] == self._schemes[other] else None
            counted = counted or bool(mine and mine.numbers)
        return 0


def natural_key(tag: str) -> tuple[object, ...]:
    """Return a key to sort any tags, numbers as numbers: the last resort, always the same."""
    tokens = re.findall(r"[0-9]+|[^0-9]+", tag.lower())
    return tuple(
        (1, int(token), "") if token[0].isdigit() else (0, 0, token) for token in tokens
    ), tag


def _is_plain_hash(text: str) -> bool:
    """Return True for what can only be a hash, or its beginning: letters and digits, not a date."""
    if not _HEX_DIGITS.fullmatch(text) or _STARTS_WITH_DATE.match(text):
        return False
    return not text.isdigit() and not text.isalpha()


def _split_parts(texts: list[str], hashes: Counter[tuple[int, int]]) -> Iterable[_Part]:
    before = ""
    for place, text in enumerate(texts):
        can_be = bool(_HEX_DIGITS.fullmatch(text)) and not _DIGIT_DATE.fullmatch(text)
        # Next to `4f2a91c`, `1234567` is a hash as well, and no version.
        among_hashes = can_be and (hashes[place, len(text)] or before in _BEFORE_A_HASH)
        if _is_plain_hash(text) or among_hashes or _DESCRIBED.fullmatch(text):
            yield _HASH
        elif text:
            yield from split_words(text)
        before = text


def split_words(text: str) -> Iterable[_Part]:
    """Yield the parts of a text between separators: a new one begins at a word after a number."""
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
    # `v1` and `1` name the same version.
    return _Part("" if word == "v" and numbers else word, tuple(numbers))


def compare_parts(mine: _Part | None, theirs: _Part | None, *, counted: bool) -> int | None:
    """Compare two different parts in the same place. `counted`: there were numbers before them."""
    if mine is None or theirs is None:
        beyond = change_by(mine or theirs or _HASH) if counted else None
        return beyond if beyond is None or mine else -beyond
    # Hashes have no order.
    if mine.is_hash or theirs.is_hash:
        return None
    if mine.word != theirs.word:
        verdict = compare_words(mine, theirs) if counted else None
        if verdict != 0:
            return verdict
    # Such as main and main5.
    if not counted and not (mine.numbers and theirs.numbers):
        return None
    pairs = list(zip_longest(mine.numbers, theirs.numbers, fillvalue=0))
    differing = next(((one, other) for one, other in pairs if one != other), None)
    return differing[0] - differing[1] if differing else 0


def change_by(part: _Part) -> int | None:
    """Return how a part changes the version before it: -1 earlier, 1 later, 0 not, None unknown."""
    if part.is_hash:
        return None
    if part.word in _PRERELEASES:
        # `1.0a` may be an alpha as well as the revision after 1.0.
        return None if len(part.word) == 1 and not part.numbers else -1
    if part.word in _REVISIONS:
        return 1
    if part.word in _NOTHING_MORE:
        return 0
    # An unknown word is a variant, such as `alpine`: neither earlier nor later.
    if part.word:
        return None
    return 1 if any(part.numbers) else 0


def compare_words(mine: _Part, theirs: _Part) -> int | None:
    """Compare two parts with different words after the same version; 0 if they mean the same."""
    ranks = _PRERELEASES.get(mine.word), _PRERELEASES.get(theirs.word)
    if ranks[0] and ranks[1]:
        return ranks[0] - ranks[1]
    if ranks[0] is not None and ranks[1] is not None:
        return None
    # OpenSSL's way: 1.0.2k comes before 1.0.2u.
    letters = len(mine.word) == len(theirs.word) == 1 and not mine.numbers and not theirs.numbers
    if letters:
        return 1 if mine.word > theirs.word else -1
    if ranks[0] is None and ranks[1] is None:
        return None
    return -1 if ranks[0] is not None else 1


def counting_scheme(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Return how a name counts: names that count in different ways cannot be compared.

    By dates (`2026.11.28`, `20261128`), by one number of something else (`123-fix-login` is not
    later than `99-new-page`), or by versions.
    """
    place = next((place for place, part in enumerate(parts) if part.numbers), None)
    if place is None:
        return ()
    first, *more = parts[place].numbers
    after = parts[place + 1 :]
    # As a number, 20261128 would be above every version.
    if _DIGIT_DATE.fullmatch(str(first)):
        return ("date",)
    if first in _YEARS and (more or (after and not after[0].word and after[0].numbers)):
        return ("year",)
    return (
        ()
        if more
        else tuple(part.word for part in after if part.word and part.word not in _KNOWN_WORDS)
    )
