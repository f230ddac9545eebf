"""Comparisons of before and after, for people."""

from collections.abc import Sequence

from tagboat.cli import show
from tagboat.cli.client import ApiObject

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def show_comparison_table(found: ApiObject) -> None:
    """Print what a deploy changes, one line for each kind of change."""
    before, after, commits = found["before"], found["after"], found["commits"]
    if found["changes_nothing"]:
        show.line("This changes nothing: digest and configuration are the same.")
    revisions = f"{commits['before'] or '?'}...{commits['after'] or '?'}"
    has_commits = commits["before"] or commits["after"]
    env = [f"{_SIGNS[kind]}{name}" for kind in _SIGNS for name in found["env"][kind]]
    digests = [show.short_digest(side["digest"]) if side else "-" for side in (before, after)]
    rows = (
        ("tag", f"{before['tag'] if before else '-'} -> {after['tag']}"),
        ("digest", f"{digests[0]} -> {digests[1] or 'not known yet'}"),
        ("commits", commits["compare_url"] or (revisions if has_commits else None)),
        ("environment", " ".join(env)),
        ("image", _changes_in_words(found["image"])),
        ("configuration", _changes_in_words(found["config"])),
        ("size", f"{_mebibytes(before)} -> {_mebibytes(after)}"),
        ("release command", "yes" if found["release_command"] else "no"),
        ("not compared", found["unknown"]),
    )
    show.table(("what", "change"), [row for row in rows if row[1]])


def show_pending_changes(found: ApiObject) -> None:
    """Print the changes that are saved and not live."""
    if found["reason"]:
        show.line(found["reason"])
    elif not found["count"]:
        show.line("Nothing is saved that is not live.")
    else:
        number = "1 change" if found["count"] == 1 else f"{found['count']} changes"
        show.line(f"Saved, not live: {number}")
        show.table(
            ("field", "live", "saved"),
            ((one["field"], one["before"], one["after"]) for one in found["changes"]),
        )


def _changes_in_words(changes: Sequence[ApiObject]) -> str:
    return "; ".join(
        f"{one['field']} {one['before'] or '-'} -> {one['after'] or '-'}" for one in changes
    )


def _mebibytes(side: ApiObject | None) -> str:
    size = side["size"] if side else None
    return "?" if size is None else f"{size / (1 << 20):.1f} MiB"
