"""Help is for a terminal of 80 columns, and each command's first sentence is there whole in the list above it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from tagboat.cli.main import app

PROGRAM = typer.main.get_command(app)


def commands(command: object, context: typer.Context) -> Iterator[typer.Context]:
    yield context
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(
                each, typer.Context(each, info_name=name, parent=context, terminal_width=80)
            )


ALL = list(commands(PROGRAM, typer.Context(PROGRAM, info_name="tagboat", terminal_width=80)))


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_help_fits_a_terminal(context: typer.Context) -> None:
    _usage, *lines = context.command.get_help(context).splitlines()
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []
    assert context.command.help


def test_the_tree_is_walked() -> None:
    paths = {context.command_path for context in ALL}
    assert {
        "tagboat",
        "tagboat webhook sign",
        "tagboat registries add",
        "tagboat deliveries show",
    } <= paths
    assert all(isinstance(context.command, TyperCommand | TyperGroup) for context in ALL)


ROOT = Path(__file__).parents[3]
_READY = " ready on http"
NAMED = re.compile(r"['`]tagboat((?: [a-z][a-z-]*)+)")
"""A command in a message or a document: its words before the first that is a name or an option."""


def is_known(words: str) -> bool:
    command: object = PROGRAM
    for word in words.split():
        if not isinstance(command, TyperGroup):
            return True  # the rest are its arguments
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "src").rglob("*.py")),
    ],
    ids=lambda path: path.name,
)
def test_every_command_that_is_named_exists(path: Path) -> None:
    assert [
        words
        for words in NAMED.findall(path.read_text())
        if not is_known(words) and words != _READY
    ] == []


def test_commands_are_found_in_texts() -> None:
    assert NAMED.findall("say 'tagboat deploys show ID' or `tagboat poll`, 'tagboat stages edit {a}'") == [
        " deploys show", " poll", " stages edit",
    ]  # fmt: skip
    assert [is_known(words) for words in (" deploys show", " poll", " deploys explode", " nothing")] == [
        True, True, False, False,
    ]  # fmt: skip
