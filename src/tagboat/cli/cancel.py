"""`tagboat cancel`."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.names import call_deploy, find_stage
from tagboat.cli.options import JsonOption, connect
from tagboat.core.errors import NotFoundError


def cancel_command(
    # One parameter for both: the second word decides what the first one is.
    deploy: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOY|PROJECT",
            help="The deploy's id, or a project.",
            autocompletion=complete.open_deploys_and_projects,
        ),
    ],
    stage: Annotated[
        str | None,
        typer.Argument(
            metavar="STAGE",
            help="With a project: cancel all open deploys of it.",
            autocompletion=complete.stage_names,
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Cancel one queued or running deploy, or all of a stage.

    The version that was live keeps serving. With a stage, --json prints a list.
    """
    client = connect()
    if stage is None:
        cancelled = [_cancel_one(client, deploy)]
    else:
        found = find_stage(client, deploy, stage)
        # One call, so that no queued deploy starts when a running one ends.
        cancelled = client.post(f"/api/stages/{found['id']}/cancel")["items"]
    if as_json:
        show.as_json(cancelled[0] if stage is None else cancelled)
        return
    for item in cancelled:
        what = f"deploy {item['id']} of {item['tag']} to"
        where = f"{item['project']['name']} {item['stage']['name']}"
        if item["status"] == "cancelled":
            show.line(f"{what} {where} is cancelled")
        else:
            show.line(f"{what} {where} is being cancelled; the version that was live stays")


def _cancel_one(client: Client, deploy: str) -> ApiObject:
    try:
        return call_deploy(deploy, lambda path: client.post(f"{path}/cancel"))
    except NotFoundError:
        # A project's name alone is the likely mistake, when something must stop at once.
        stages = client.get("/api/stages", project=deploy)["items"]
        if not stages:
            raise
        names = ", ".join(stage["name"] for stage in stages)
        raise NotFoundError(
            f"{deploy} is a project: name the stage as well, such as "
            f"'tagboat cancel {deploy} {stages[0]['name']}'; its stages: {names}"
        ) from None
