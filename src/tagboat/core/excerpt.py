"""What an error may repeat of the text it complains about."""

from collections.abc import Sequence

_SHOWN = 80
_NAMED = 5


def excerpt(text: str) -> str:
    """`text` in quotes, escaped and cut short, so that an error never repeats a megabyte or a control character."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def some_of(names: Sequence[str]) -> str:
    """The first few of `names`, with commas between them; `…` stands for the rest."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
