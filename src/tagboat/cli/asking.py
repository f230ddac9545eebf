"""How a command reaches the server, and the arguments that commands share."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from tagboat.cli import complete
from tagboat.cli.client import Client
from tagboat.cli.place import this_place

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.", autocompletion=complete.projects)]
OneProject = Annotated[
    str | None, typer.Argument(metavar="PROJECT", help="Only this project.", autocompletion=complete.projects)
]
StageName = Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name.", autocompletion=complete.stages)]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit 1 unless it succeeds.")]


def ask(command: Callable[[Client], int]) -> NoReturn:
    """Run a command against the server and end with its exit code."""
    place = this_place()
    raise typer.Exit(command(Client(place.server(), place.server)))
