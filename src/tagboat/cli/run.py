"""`tagboat run`: a command once, next to what is live in a stage."""

import json
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client_errors import ServerAwayError
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, ProjectArg, StageArg, connect
from tagboat.core.errors import TagboatError

_STOP_S = 3


def run_command(
    project: ProjectArg,
    stage: StageArg,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments.")
    ],
    *,
    timeout_s: Annotated[
        int,
        typer.Option("--timeout", metavar="SECONDS", min=1, max=86_400, help="End it after that."),
    ] = 3600,
    as_json: JsonOption = False,
) -> None:
    """Run a command once, as what is live in a stage.

    It has that image and configuration.

    It gets environment, secrets, networks and volumes of the app, in a container of its own, which
    is removed at the end. There is no terminal and no input; output and errors are printed line by
    line as text, secrets masked. Ctrl-C ends it: SIGTERM, and SIGKILL 3 s later.

    The exit code is that of the command. It is 1, with a message that begins with 'tagboat:', where
    the command could not be started, lost its server, or was ended by --timeout.

    Only for admins: a command can read all secrets of the app.

    Example: tagboat run shop prod -- bin/console cache:clear --env=prod
    """
    client = connect()
    found = find_stage(client, project, stage)
    path, body = f"/api/stages/{found['id']}/runs", {"command": command, "timeout_s": timeout_s}
    try:
        for event in client.stream(path, {}, body=body):
            if event.name == "line":
                show.line(json.dumps(event.data) if as_json else event.data["text"])
            elif event.name == "error":
                raise TagboatError(event.data["detail"])
            elif event.name == "end":
                code = int(event.data["exit_code"])
                if as_json:
                    show.line(json.dumps(event.data))
                raise typer.Exit(code)
    except KeyboardInterrupt:
        show.progress(f"\nthe command is ended: SIGTERM, and SIGKILL {_STOP_S} s later")
        raise
    raise ServerAwayError(
        "the server went away, and the command is ended with it; it is not known how far it came"
    )
