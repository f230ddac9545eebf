"""`tagboat cancel`."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.names import call_deploy, find_stage
from tagboat.cli.options import JsonOption, connect


def cancel_command(
    # One parameter for both: the second word decides what the first one is.
    deploy: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOY|PROJECT",
            help="The deploy's id, or a project.",
            autocompletion=complete.project_names,
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
        cancelled = [call_deploy(deploy, lambda path: client.post(f"{path}/cancel"))]
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
