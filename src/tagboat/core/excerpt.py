"""Excerpts of text for error messages."""

from collections.abc import Sequence

_EXCERPT_LENGTH = 80
_NAMED = 5


def excerpt(text: str) -> str:
    """Return `text` in quotes, escaped and shortened.

    So an error never repeats a megabyte or a control character.
    """
    return repr(text if len(text) <= _EXCERPT_LENGTH else text[:_EXCERPT_LENGTH] + "…")


def some_of(names: Sequence[str]) -> str:
    """Return the first few of `names`, separated by commas; `…` stands for the rest."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def as_sentence(text: str) -> str:
    """Return `text` with a full stop, unless it ends as a sentence does."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
