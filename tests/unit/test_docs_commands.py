"""Every command that the documents tell a reader to type exists, with its options."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from tagboat.cli.main import app
from tests.unit.test_docs import DOCUMENTS, ROOT

# The reference is made from the commands themselves, with synopses in its blocks.
WRITTEN = [path for path in DOCUMENTS if path.parent.name != "reference"]
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:[\w./]*/)?tagboat (?!ready on)[^`\n]+)`")
_PROGRAM = re.compile(r"(?:^|[\s=/(])tagboat$")
_OPTION = re.compile(r"--[a-z][a-z-]+")
# Words of the shell that end a command.
_ENDS = {"|", "||", "&&", ";", ">", ">>", "<", "&", ")"}


def typed_in_blocks(text: str) -> list[list[str]]:
    """Return the words after `tagboat` of each command in blocks of code."""
    lines = [line for block in _BLOCK.findall(text) for line in _joined(block)]
    return [words for line in lines for words in _commands(line)]


def named_in_text(text: str) -> list[str]:
    """Return each command named within a sentence or a table, without `tagboat`."""
    outside = _BLOCK.sub("", text)
    return [found.partition("tagboat ")[2] for found in _INLINE.findall(outside)]


def fault(words: list[str]) -> str | None:
    """Return the reason for which the command line refuses `words`; None if it takes them."""
    command, rest = _found(words)
    if isinstance(command, TyperGroup):
        return f"{' '.join(words)}: no such command" if rest else None
    parser = command.make_parser(command.context_class(command))
    try:
        given, too_many, _ = parser.parse_args(list(rest))
    except TyperException as error:
        return f"{' '.join(words)}: {error}"
    if too_many:
        return f"{' '.join(words)}: {too_many} is too much"
    missing = [
        one.name
        for one in command.params
        if one.required and one.param_type_name == "argument" and not given[one.name]
    ]
    return f"{' '.join(words)}: {missing} is missing" if missing else None


def unknown_options(named: str) -> list[str]:
    """Return the options in a synopsis that its command does not have."""
    words = named.replace("[", " ").replace("]", " ").replace("|", " ").split()
    command, _ = _found([word for word in words if word.islower()])
    known = {"--help", "--version", "--install-completion"} | {
        name for one in command.params for name in (*one.opts, *one.secondary_opts)
    }
    return sorted(set(_OPTION.findall(named)) - known)


# Built anew: contexts that are made here leave their mark on commands.
PROGRAM_GROUP: Any = typer.main.get_command(app)


def _found(words: list[str]) -> tuple[TyperGroup | TyperCommand, list[str]]:
    command = PROGRAM_GROUP
    while words and isinstance(command, TyperGroup) and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def _joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def _commands(line: str) -> list[list[str]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a block that is no shell
        return []
    found = []
    for at, word in enumerate(words):
        if "=" not in word and _PROGRAM.search(word) and _begins_command(words[:at]):
            end = next((i for i in range(at + 1, len(words)) if words[i] in _ENDS), len(words))
            found.append(words[at + 1 : end])
    return found


def _begins_command(before: list[str]) -> bool:
    if before[-1:] == ["-u"]:  # the user of that name
        return False
    own = [
        word
        for word in before[-4:]
        if word not in {"$", "sudo", "-u", "-E", "exec", *_ENDS} and "=" not in word
    ]
    return not own or bool(before and (before[-1] in _ENDS or "-u" in before))


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_blocks_are_taken(document: Path) -> None:
    faults = [wrong for words in typed_in_blocks(document.read_text()) if (wrong := fault(words))]
    assert faults == []


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_sentences_exist(document: Path) -> None:
    named = named_in_text(document.read_text())
    assert [one for one in named if unknown_options(one)] == []
    first = {re.split(r"[\s\[|]", one)[0] for one in named}
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert (
        sorted(
            word
            for word in first
            if word[:1].isalpha() and word.islower() and word not in group.commands
        )
        == []
    )


def test_commands_are_found() -> None:
    text = "```\n.venv/bin/tagboat status --json | jq .\nsudo -u x A=b /opt/bin/tagboat poll\n```\n"
    assert typed_in_blocks(text) == [["status", "--json"], ["poll"]]
    assert named_in_text("see `tagboat deploy P S TAG --wait`") == ["deploy P S TAG --wait"]


def test_what_does_not_exist_is_found() -> None:
    assert fault(["status", "--jsno"])
    assert fault(["projcts"])
    assert fault(["projects", "shwo", "x"])
    assert fault(["projects", "show"])
    assert fault(["deploys", "show"])
    assert fault(["status", "--json"]) is None
    assert unknown_options("stages edit PROJECT STAGE --gone") == ["--gone"]
