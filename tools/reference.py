"""`python -m tools.reference`: write the pages that are made: all commands, and every sender.

    python -m tools.reference          write docs/reference/commands.md and docs/senders.md
    python -m tools.reference check    exit 1 if one is not current

A test compares them with what they are made from, too.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from tagboat.cli.main import app
from tools.senders_page import SENDERS, render_senders

COMMANDS = Path(__file__).parent.parent / "docs" / "reference" / "commands.md"
_HEAD = """# All commands

This page is made from the commands' own help. [The command line](../cli.md) has an overview.
Exit codes: 0 done, 1 failed, 2 wrong usage.
"""
# The same as `list`, and as the bare group.
_ALIASES = {"ls"}


def render() -> str:
    """Return the reference as Markdown: a section for each command, in the order of the help."""
    return _HEAD + "".join(_sections(typer.main.get_command(app), "tagboat"))


def _sections(group: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - of typer's private classes
    for word, command in group.commands.items():
        if word in _ALIASES or command.hidden:
            continue
        path = f"{name} {word}"
        if isinstance(command, TyperGroup):
            yield from _sections(command, path)
        else:
            yield _section(command, path)


def _section(command: Any, path: str) -> str:  # noqa: ANN401 - of typer's private classes
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    tail = ["[OPTIONS]"] if options else []
    usage = " ".join([path, *map(_argument, arguments), *tail])
    text = f"\n## {path}\n\n```\n{usage}\n```\n\n{_prose(command.help or '')}\n"
    rows = [(_argument(one), one.help or "") for one in arguments]
    rows += [(_option(one), one.help or "") for one in options if not one.hidden]
    if rows:
        text += "\n| | |\n|---|---|\n" + "".join(f"| `{a}` | {_cell(b)} |\n" for a, b in rows)
    return text


def _argument(argument: Any) -> str:  # noqa: ANN401 - of typer's private classes
    word = (argument.metavar or argument.name).upper().strip("[]")
    word += "..." if argument.nargs == -1 and not word.endswith("...") else ""
    return word if argument.required else f"[{word}]"


def _option(option: Any) -> str:  # noqa: ANN401 - of typer's private classes
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    return f"{names} {option.metavar or option.opts[0].strip('-').upper()}"


def _prose(text: str) -> str:
    # A line with \b begins what stands as it is: examples and tables.
    blocks = []
    for block in text.strip().split("\n\n"):
        as_it_is = block.startswith("\b")
        lines = block.lstrip("\b\n")
        blocks.append(f"```\n{lines}\n```" if as_it_is else _escaped(lines))
    return "\n\n".join(blocks)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit((COMMANDS.read_text(), SENDERS.read_text()) != (render(), render_senders()))
    COMMANDS.write_text(render())
    SENDERS.write_text(render_senders())
