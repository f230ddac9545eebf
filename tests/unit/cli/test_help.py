"""Help is for a terminal of 80 columns, and each command's first sentence is there whole in the list above it."""

from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from tagboat.cli.main import app

PROGRAM = typer.main.get_command(app)


def commands(command: object, context: typer.Context) -> Iterator[typer.Context]:
    yield context
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(each, typer.Context(each, info_name=name, parent=context, terminal_width=80))


ALL = list(commands(PROGRAM, typer.Context(PROGRAM, info_name="tagboat", terminal_width=80)))


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_help_fits_a_terminal(context: typer.Context) -> None:
    _usage, *lines = context.command.get_help(context).splitlines()
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []
    assert context.command.help


def test_the_tree_is_walked() -> None:
    paths = {context.command_path for context in ALL}
    assert {"tagboat", "tagboat webhook sign", "tagboat registries add", "tagboat deliveries show"} <= paths
    assert all(isinstance(context.command, TyperCommand | TyperGroup) for context in ALL)
