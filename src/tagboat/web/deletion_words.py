"""The sentence about the volumes that a deletion has left or removed."""

from tagboat.core.keeping import LeftVolumes

_MOST_NAMED = 4


def volumes_left_words(left: LeftVolumes) -> str:
    """Return which volumes were kept and deleted, empty where there were none."""
    told = (("kept", left.kept), ("deleted", left.removed))
    return " ".join(f"Its volumes are {how}: {_some_of(names)}." for how, names in told if names)


def _some_of(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
