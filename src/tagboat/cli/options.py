"""Arguments and options that several commands share, and the connection to the server."""

from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.client import Client
from tagboat.cli.context import current_context

# One type for each argument: the same words and completion in every command.
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Follow the deploy to its end; exit 1 unless it succeeds.")
]
LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=200, help="How many to list.")
]
VolumesOption = Annotated[
    bool, typer.Option("--volumes", help="Delete the volumes too, with all data in them.")
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="NAME",
        help="For a sender that does not name its host.",
        autocompletion=complete.registry_names,
    ),
]
ProjectArg = Annotated[
    str,
    typer.Argument(
        metavar="PROJECT", help="The project's name.", autocompletion=complete.project_names
    ),
]
OptionalProjectArg = Annotated[
    str | None,
    typer.Argument(
        metavar="PROJECT", help="Only this project.", autocompletion=complete.project_names
    ),
]
StageArg = Annotated[
    str,
    typer.Argument(metavar="STAGE", help="The stage's name.", autocompletion=complete.stage_names),
]
OptionalStageArg = Annotated[
    str | None,
    typer.Argument(metavar="STAGE", help="Only this stage.", autocompletion=complete.stage_names),
]
DeployArg = Annotated[
    str,
    typer.Argument(metavar="DEPLOY", help="The deploy's id.", autocompletion=complete.deploy_ids),
]
ImageArg = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE", help="An image, without a tag.", autocompletion=complete.image_names
    ),
]


NoteOption = Annotated[
    str, typer.Option("--note", metavar="TEXT", help="A reason, kept with the deploy and shown.")
]


def connect() -> Client:
    """Return a client of the server. Raises TagboatError if no server is known."""
    context = current_context()
    # The second one finds a server that was restarted with another token.
    return Client(context.server(), context.server)
