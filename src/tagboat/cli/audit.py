"""`tagboat audit`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.options import JsonOption, LimitOption, connect
from tagboat.core.errors import TagboatError

_NOTHING = "Nothing is on record that fits."
_COLUMNS = ("time", "who", "from", "action", "of", "what")


def audit_command(
    *,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT",
            help="Only this project, also if it was deleted.",
            autocompletion=complete.project_names,
        ),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this account or token, or webhook, poll, local."),
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only this kind, such as stage.change.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only since then, such as 7d or 2026-11-29.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only before then, such as 12h.")
    ] = None,
    limit: LimitOption = 20,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all of it to a file, as JSON lines."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, and when.

    The newest comes first, with the values before and after; secrets are shown as ***. Only admins
    may see it.
    """
    asked = {"project": project, "actor": actor, "action": action, "since": since, "until": until}
    query = {name: value for name, value in asked.items() if value is not None}
    if export is not None:
        count = _export(export, query)
        if as_json:
            show.as_json({"entries": count, "file": str(export)})
        else:
            show.line(f"{count} entries are in {export}")
        return
    items = connect().get("/api/audit", limit=limit, **query)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_COLUMNS, map(_row, items))
    else:
        show.line(_NOTHING)


def _export(path: Path, query: dict[str, str]) -> int:
    """Write the entries to a file that only its owner may read; return how many."""
    part, count = path.with_name(f"{path.name}.part"), 0
    try:
        part.unlink(missing_ok=True)
        # Not at its own name before it is whole: half of an audit must not pass for one.
        handle = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                for line in connect().lines("/api/audit/export", **query):
                    file.write(line)
                    count += 1
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TagboatError(f"{path} cannot be written ({error.strerror})") from None
    return count


def _row(item: ApiObject) -> tuple[object, ...]:
    actor, subject = item["actor"], item["subject"]
    who = actor["name"] if actor["kind"] == actor["name"] else f"{actor['name']} ({actor['kind']})"
    # A deploy and a stage are known by project and stage, and other things by their own name.
    named = [item[key]["name"] for key in ("project", "stage") if item[key]]
    of = " ".join(named) or subject["name"]
    if named and subject["name"] not in named:
        of = f"{of} {subject['name']}"
    changes = [
        f"{one['field']}: {_format(one['before'])} → {_format(one['after'])}"
        for one in item["changes"]
    ]
    what = "; ".join(filter(None, [*changes, item["note"]]))
    return show.timestamp(item["at"]), who, item["address"], item["action"], of, what


def _format(value: object) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else show.compact(value)
