"""`tagboat deploy`, `rollback` and `promote`: each queues a deploy."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.comparison import show_comparison_table
from tagboat.cli.follow import QueuedDeploy
from tagboat.cli.names import find_stage, unknown_deploy
from tagboat.cli.options import (
    JsonOption,
    NoteOption,
    ProjectArg,
    StageArg,
    WaitOption,
    connect,
)
from tagboat.core.errors import NotFoundError


def deploy_command(
    project: ProjectArg,
    stage: StageArg,
    tag: Annotated[
        str,
        typer.Argument(metavar="TAG", help="The tag to deploy.", autocompletion=complete.tag_names),
    ],
    *,
    wait: WaitOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Deploy even if this digest is live already.")
    ] = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Deploy a tag to a stage, whatever its pattern.

    The old instance keeps serving until the new one is healthy. Without --wait the command only
    queues the deploy. With --wait it also survives a restart of the server.
    """
    client = connect()
    found = find_stage(client, project, stage)
    queued = client.post(
        f"/api/stages/{found['id']}/deploys", {"tag": tag, "force": force, **_noted(note)}
    )
    QueuedDeploy(project, found, queued).finish(client, wait=wait, as_json=as_json)


def rollback_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DEPLOY",
            help="Go back to the result of this deploy.",
            autocompletion=complete.deploy_ids,
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what it would go back to.")
    ] = False,
    wait: WaitOption = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go back to what was live before in a stage, and hold it.

    Exactly the earlier digest is deployed, with the configuration it had. Until the stage is
    released, no push replaces it.
    """
    client = connect()
    found = find_stage(client, project, stage)
    if preview:
        if to is not None:
            raise typer.BadParameter(
                f"'tagboat stages history {project} {stage}' says so for --to",
                param_hint="--preview",
            )
        _show_way_back(client.get(f"/api/stages/{found['id']}/rollback"), as_json=as_json)
        return
    try:
        queued = client.post(f"/api/stages/{found['id']}/rollback", {"to": to, **_noted(note)})
    except NotFoundError:
        # The stage was found just before: without --to its error is about something else.
        if to is None:
            raise
        raise unknown_deploy(to) from None
    show.progress(
        f"{project} {stage} is held: pushes deploy nothing there until "
        f"'tagboat release {project} {stage}'"
    )
    QueuedDeploy(project, found, queued).finish(client, wait=wait, as_json=as_json)


def promote_command(
    project: ProjectArg,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="The stage where it is live.",
            autocompletion=complete.stage_names,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The stage to deploy it to.", autocompletion=complete.stage_names
        ),
    ],
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what would change: deploy nothing.")
    ] = False,
    wait: WaitOption = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Deploy to a stage exactly the digest that is live in another."""
    client = connect()
    taken_from, found = find_stage(client, project, source), find_stage(client, project, target)
    if preview:
        shown = client.get(f"/api/stages/{found['id']}/promotion", **{"from": taken_from["id"]})
        show.as_json(shown) if as_json else show_comparison_table(shown)
        return
    # Only ids: two stages of one name cannot be confused.
    queued = client.post(
        f"/api/stages/{found['id']}/promote", {"from": taken_from["id"], **_noted(note)}
    )
    QueuedDeploy(project, found, queued).finish(client, wait=wait, as_json=as_json)


def _show_way_back(way: ApiObject, *, as_json: bool) -> None:
    if as_json:
        show.as_json(way)
    elif way["possible"]:
        digest = show.short_digest(way["digest"])
        show.line(f"it would go back to {way['tag']} ({digest}), of deploy {way['deploy']}")
    else:
        show.line(f"rollback is not possible: {way['reason']}")


def _noted(note: str) -> dict[str, str]:
    # Left out where there is none: an older server does not know the field.
    return {"note": note} if note else {}
