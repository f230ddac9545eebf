"""`tagboat logs`."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, ProjectArg, StageArg, connect
from tagboat.core.errors import TagboatError

_STATES_WITH_CONTAINER = ("live", "starting", "draining")
"""States of instances that have a log to ask for, the most interesting first."""


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
    found, where = find_stage(client, project, stage), f"{project} {stage}"
    lines: list[str] | None = None
    for state in _STATES_WITH_CONTAINER:
        newest = client.get("/api/instances", stage=found["id"], state=state, limit=1)["items"]
        if newest:
            lines = client.get(f"/api/instances/{newest[0]['id']}/logs", tail=tail)["lines"]
            break
    if lines is None:
        failed = client.get("/api/deploys", stage=found["id"], status="failed", limit=1)["items"]
        if not failed:
            raise TagboatError(
                f"nothing runs in {where}, and no failed deploy has left a log. "
                f"Deploy with 'tagboat deploy {where} TAG'"
            )
        last = failed[0]
        show.progress(
            f"nothing runs in {where}; deploy {last['id']} of {last['tag']} failed "
            f"({last['reason']}) and left:"
        )
        lines = last["log"].splitlines()[-tail:]
    if as_json:
        show.as_json({"lines": lines})
    elif lines:
        show.line("\n".join(lines))
