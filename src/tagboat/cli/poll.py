"""`tagboat poll`."""

import typer

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject
from tagboat.cli.names import find_project
from tagboat.cli.options import JsonOption, OptionalProjectArg, connect
from tagboat.cli.projects import NO_PROJECT_YET
from tagboat.core.errors import TagboatError

_ALL_TIMEOUT_S = 600.0
_NEW_TAGS_SHOWN = 5
_REASONS_SHOWN = 20


def poll_command(project: OptionalProjectArg = None, *, as_json: JsonOption = False) -> None:
    """Look for new tags now, for one project or for all.

    The first poll of an image only records its tags. Exit code 1 if any poll failed.
    """
    client = connect()
    # A registry may take a minute to answer.
    if project is None:
        show.progress("polling all projects")
        polled = client.post("/api/poll", timeout_s=_ALL_TIMEOUT_S)["items"]
        reports = [ApiObject(report, project=report["project"]["name"]) for report in polled]
    else:
        found = find_project(client, project)
        show.progress(f"polling {found['image']}")
        try:
            report = client.post(f"/api/projects/{found['id']}/poll", timeout_s=LONG_TIMEOUT_S)
        except TagboatError as error:
            report = ApiObject(first_poll=False, new_tags=[], deploys=[], tags=[], error=str(error))
        reports = [ApiObject(report, project=found["name"])]
    if as_json:
        show.as_json(reports)
    elif reports:
        rows = []
        for report in reports:
            note = "first poll: tags are recorded, nothing is deployed"
            tags, more = report["new_tags"], len(report["new_tags"]) - _NEW_TAGS_SHOWN
            # A first poll may find hundreds; --json has them all.
            shown = ", ".join(tags[:_NEW_TAGS_SHOWN]) + (f" and {more} more" if more > 0 else "")
            if report["error"]:
                note = f"failed: {report['error']}"
            elif not report["first_poll"]:
                note = ""
            rows.append((report["project"], shown, ", ".join(report["deploys"]), note))
        show.table(("project", "new tags", "deploys", "note"), rows)
        _show_reasons(reports)
    else:
        show.line(NO_PROJECT_YET)
    if any(report["error"] for report in reports):
        raise typer.Exit(1)


def _show_reasons(reports: list[ApiObject]) -> None:
    """Print for each tag why it was or was not deployed."""
    # The note about a first poll explains all its tags already.
    explained = [report for report in reports if report["tags"] and not report["first_poll"]]
    if not explained:
        return
    show.line("")
    show.table(
        ("project", "tag", "change", "stage", "outcome", "why"),
        [
            (
                report["project"],
                tag["tag"],
                tag["change"],
                tag["stage"] and tag["stage"]["name"],
                tag["outcome"],
                tag["reason"],
            )
            for report in explained
            for tag in report["tags"][-_REASONS_SHOWN:]
        ],
    )
    for report in explained:
        if (count := len(report["tags"])) > _REASONS_SHOWN:
            show.progress(
                f"of {count} tags of {report['project']} the last {_REASONS_SHOWN} are shown; "
                "--json has all"
            )
