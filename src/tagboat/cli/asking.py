"""How a command reaches the server, and the arguments that commands share."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from tagboat.cli import complete
from tagboat.cli.client import Client
from tagboat.cli.place import this_place

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Project = Annotated[
    str,
    typer.Argument(metavar="PROJECT", help="The project's name.", autocompletion=complete.projects),
]
OneProject = Annotated[
    str | None,
    typer.Argument(metavar="PROJECT", help="Only this project.", autocompletion=complete.projects),
]
StageName = Annotated[
    str, typer.Argument(metavar="STAGE", help="The stage's name.", autocompletion=complete.stages)
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Follow it to its end; exit 1 unless it succeeds.")
]


def add_command(app: typer.Typer, command: Callable[..., None], name: str, alias: str) -> None:
    """Give a group a command, and a shorter name for it that help does not list."""
    app.command(name)(command)
    app.command(alias, hidden=True)(command)


def add_list(app: typer.Typer, command: Callable[..., None], says: str) -> None:
    """Give a group `list` and `ls`, which do as the bare group does; `command` takes `json`, help `says` what it does."""

    def listed(*, json: Json = False) -> None:
        command(json=json)

    listed.__doc__ = says
    add_command(app, listed, "list", "ls")


def ask(command: Callable[[Client], int]) -> NoReturn:
    """Run a command against the server and end with its exit code."""
    place = this_place()
    raise typer.Exit(command(Client(place.server(), place.server)))
