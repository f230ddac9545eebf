"""`tagboat hold` and `release`."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, ProjectArg, StageArg, connect


def hold_command(project: ProjectArg, stage: StageArg, *, as_json: JsonOption = False) -> None:
    """Stop pushes and polls from deploying to a stage.

    New tags are kept until the stage is released. Deploys by hand still work.
    """
    client = connect()
    answer = client.post(f"/api/stages/{find_stage(client, project, stage)['id']}/hold")
    if as_json:
        show.as_json(answer)
    else:
        show.line(
            f"{project} {stage} is held: pushes deploy nothing there until "
            f"'tagboat release {project} {stage}'"
        )


def release_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    including: Annotated[
        bool, typer.Option("--including", help="Deploy also what failed or was rolled back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let pushes and polls deploy to a stage again.

    The newest tag that arrived while the stage was held is deployed. A version that failed after
    it was live, or was rolled back, is not deployed unless --including is given.
    """
    client = connect()
    answer = client.post(
        f"/api/stages/{find_stage(client, project, stage)['id']}/release", {"including": including}
    )
    if as_json:
        show.as_json(answer)
        return
    if answer.get("stopped_at"):
        show.line(
            f"{project} {stage} is released, but still stopped;"
            f" 'tagboat start {project} {stage}' starts it"
        )
        return
    queued = answer["deploys"]
    what = (
        f"queued: deploy {', '.join(queued)}" if queued else "no tag arrived that it would deploy"
    )
    show.line(f"{project} {stage} is released; {what}")
