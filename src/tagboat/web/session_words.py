"""Words about sessions and rights: pure functions."""

from collections.abc import Sequence

from tagboat.operations.rights import ProjectRef

# The first that is found counts: most browsers also call themselves by the names below them.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_LONGEST_AGENT = 60


def browser_words(user_agent: str) -> str:
    """Return a browser as people call it, such as `Firefox on Linux`."""
    name = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if name and system:
        return f"{name} on {system}"
    return name or system or user_agent[:_LONGEST_AGENT] or "an unknown browser"


def limit_words(projects: Sequence[ProjectRef] | None) -> str:
    """Return the projects that an account or token may act on."""
    if projects is None:
        return "all projects"
    # The projects were deleted, and the limit stays.
    return ", ".join(one.name for one in projects) or "no project any more"
