"""The sentence about the volumes that a deletion has left or removed."""

from tagboat.core.keeping import LeftVolumes

_MOST_NAMED = 4


def volumes_left_words(left: LeftVolumes) -> str:
    """Return which volumes were kept or deleted, empty where there were none."""
    if left.kept:
        return f"Its volumes are kept: {_some_of(left.kept)}."
    if left.removed:
        return f"Its volumes are deleted: {_some_of(left.removed)}."
    return ""


def _some_of(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
