"""`tagboat logs`."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, ProjectArg, StageArg, connect


def logs_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    tail: Annotated[int, typer.Option("--tail", min=1, max=10000, help="How many lines.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show the last log lines of the app in a stage.

    If nothing runs there: the lines that the last failed deploy left.
    """
    client = connect()
    found = find_stage(client, project, stage)
    answer = client.get(f"/api/stages/{found['id']}/logs", tail=tail)
    # The server knows which log matters while a deploy is running.
    lines = answer["lines"]
    if answer["source"] == "deploy":
        last = answer["deploy"]
        show.progress(
            f"nothing runs in {project} {stage}; deploy {last['id']} of {last['tag']} failed "
            f"({last['reason']}) and left:"
        )
    if as_json:
        show.as_json({"lines": lines})
    elif lines:
        show.line("\n".join(lines))
