"""Patterns that no tag can match, often in another tool's syntax, with suggestions."""

import re

from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.glob import Glob
from tagboat.core.regex import Regex
from tagboat.core.semver import VersionRange, parse_version_range
from tagboat.core.tags import TagPattern

_SIGNS_OF_A_REGEX = re.compile(r"^\^|\$$|\\[dws]|\.[*+]|[+()]")
_AROUND = " \t\"'`"
_LIST = re.compile(r"[,|\s]+")
# A character that no tag has, such as a slash, and that the expression requires.
_REGEX_NEEDS = re.compile(r"[/:@,\s](?![?*{])")
_REGEX_MAY_DO_WITHOUT = re.compile(r"[|\[?(\\]")


def unmatchable(pattern: TagPattern, kind: RegistryKind | None) -> str | None:
    """Return a warning if no tag of a registry of that `kind` can match; None if one may."""
    match pattern.matcher:
        case Glob() as glob if glob.is_empty():
            why = _advice(pattern.text)
        case Glob() as glob if kind is RegistryKind.GITEA and glob.is_empty(lower_case=True):
            why = (
                f"a registry of the kind gitea has tags in lower case; write {pattern.text.lower()}"
            )
        case VersionRange(is_empty=True):
            why = "no version is in that range; write || between alternative ranges"
        case Regex(source=source) if _REGEX_NEEDS.search(
            source
        ) and not _REGEX_MAY_DO_WITHOUT.search(source):
            why = "a tag has letters, digits and _ . - only; write an expression for the tag only"
        case _:
            return None
    return f"the pattern {pattern.text} can match no tag: {why}"


def _advice(text: str) -> str:  # noqa: PLR0911 - a sentence for each kind
    """Return the fault of an empty glob, and a suggestion."""
    # From the clearest sign of another syntax to the vaguest.
    bare = text.strip(_AROUND)
    if bare != text:
        return f"a tag has no blanks and no quotes; write {bare or '*'}"
    if _is_range(text):
        return f"it looks like a range of versions; write semver:{text}"
    if text.startswith("!") or "!(" in text:
        return (
            "a pattern cannot exclude tags; make a stage for them with a lower position and "
            "auto_deploy off"
        )
    if "{" in text and "}" in text:
        return f"there are no braces; write regex:{_as_regex(text)}"
    if _SIGNS_OF_A_REGEX.search(text):
        bare = text.removeprefix("^").removesuffix("$")
        return f"it looks like a regular expression; write regex:{bare}"
    if ":" in text or "@" in text:
        tag = re.split("[:@]", text)[-1] or "*"
        return f"it is compared with the tag only, without the image; write {tag}"
    parts = [part for part in _LIST.split(text) if part]
    if len(parts) > 1:
        return f"a stage has one pattern; write regex:{'|'.join(map(_as_regex, parts))}"
    if "/" in text:
        return (
            f"a tag has no slash, and CI systems write a dash there; write {text.replace('/', '-')}"
        )
    return "a tag has at most 128 letters, digits and _ . - only, and does not begin with . or -"


def _is_range(text: str) -> bool:
    try:
        parse_version_range(text)
    except InvalidTagPatternError:
        return False
    return True


def _as_regex(glob: str) -> str:
    """Return a glob, perhaps with alternatives in braces, as a regular expression."""
    words = {"*": ".*", "?": ".", "{": "(", "}": ")", ",": "|", ".": r"\."}
    return "".join(words.get(char, char) for char in glob)
