"""All commands: their help, their usage, their results, and as JSON."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from tagboat import __version__
from tagboat.cli.main import app
from tagboat.core.values import replace
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    SECRET_URL,
    STAGE,
    FakeServer,
    Said,
    page,
    problem,
)
from tests.unit.cli.operation_commands import (
    OPERATION_COMMANDS,
    OperationCommand,
    with_all_things,
    words_of,
)

# Built anew: contexts that are made here leave their mark on commands.
COMMANDS = typer.main.get_command(app)


def commands(command: object, context: typer.Context) -> Iterator[typer.Context]:
    yield context
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(
                each, typer.Context(each, info_name=name, parent=context, terminal_width=80)
            )


ALL = list(commands(COMMANDS, typer.Context(COMMANDS, info_name="tagboat", terminal_width=80)))


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_help_fits_a_terminal(context: typer.Context) -> None:
    """It has 80 columns, and a list of commands shows the first sentence of each whole."""
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
    command: object = COMMANDS
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
        *sorted((ROOT / "docs").rglob("*.md")),
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
    assert NAMED.findall(
        "'tagboat deploys show ID' or `tagboat poll`, 'tagboat stages edit {a}'"
    ) == [
        " deploys show",
        " poll",
        " stages edit",
    ]
    assert [is_known(words) for words in (" deploys show", " poll", " deploys explode", " no")] == [
        True,
        True,
        False,
        False,
    ]


NOTHING_YET = "There is no project yet"
STEERS = "a\x1b]0;PWNED\x07\x1b[2Jb\x9b31mc\u202ed\x00\x7f"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "v1 succeeded"),
        (["projects"], "git.example.com/acme/app"),
        (["deploy", "app", "dev", "v1"], "d1"),
        (["deploy", "app", "dev", "v1", "--wait"], "v1 is live at http://127.0.0.1:20001"),
        (["rollback", "app", "dev"], "deploy d1 of v1 is queued"),
        (
            ["rollback", "app", "dev", "--to", "d0", "--wait"],
            "v1 is live at http://127.0.0.1:20001",
        ),
        (["promote", "app", "dev", "dev"], "deploy d1 of v1 is queued"),
        (["promote", "app", "dev", "dev", "--wait"], "v1 is live at http://127.0.0.1:20001"),
        (["cancel", "d1"], "deploy d1 of v1 to app dev is cancelled"),
        (["cancel", "app", "dev"], "deploy d1 of v1 to app dev is cancelled"),
        (
            ["hold", "app", "dev"],
            "app dev is held: pushes deploy nothing there until 'tagboat release app dev'",
        ),
        (
            ["release", "app", "dev"],
            "app dev is released; queued: deploy d1",
        ),
        (["restart", "app", "dev"], "deploy d1 of v1 is"),
        (["stop", "app", "dev"], "'tagboat start app dev' starts it"),
        (["start", "app", "dev"], "deploy d1 of v1 is"),
        (["logs", "app", "dev"], "hello\nworld"),
        (
            ["explain", "git.example.com/acme/app:v1"],
            "would be queued in app prod: tag v1 matches v*",
        ),
        (["poll"], "first poll"),
        (["poll", "app"], "v1"),
        (["webhook", "url"], SECRET_URL),
        (["webhook", "regenerate", "--yes"], "http://localhost/api/webhook/other"),
        (["webhook", "list"], "ci"),
        (["webhook", "list", "app"], "ci"),
        (["webhook", "add", "app", "ci"], "http://localhost/api/webhook/own"),
        (["webhook", "rotate", "app", "ci", "--yes"], "http://localhost/api/webhook/fresh"),
        (["webhook", "revoke", "app", "ci", "--yes"], "the webhook ci of app is revoked"),
        (["webhook", "signature"], "must have an HMAC-SHA256 of their body"),
        (["webhook", "unsign", "app", "ci"], "calls of the webhook ci of app need no signature"),
        (["deliveries"], "git.example.com/acme/app:v1 is queued in app prod: tag v1 matches v*"),
        (["deliveries", "show", "v1"], '{"action": "created"}'),
        (["deliveries", "redeliver", "v1"], "tag v1 matches v*"),
        (["registries"], "There is no registry yet"),
        (["tags", "git.example.com/acme/app"], "v1\nv2\n"),
        (
            ["projects", "create", "git.example.com/acme/app"],
            "the project app deploys git.example.com/acme/app",
        ),
        (["doctor"], "All is well."),
    ],
)
def test_what_each_command_says(tagboat: Tagboat, words: list[str], said: str) -> None:
    done = tagboat(*words)
    assert done.returncode == 0, done
    assert said in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "projects",
        "poll",
        "doctor",
        "webhook url",
        "webhook regenerate --yes",
        "logs app dev",
        "explain a:b",
        "deploy app dev v1",
        "deploy app dev v1 --wait",
        "rollback app dev",
        "rollback app dev --wait",
        "promote app dev dev",
        "promote app dev dev --wait",
        "cancel d1",
        "cancel app dev",
        "hold app dev",
        "release app dev",
        "restart app dev",
        "stop app dev",
        "start app dev",
        "start app dev --wait",
        "webhook list",
        "webhook add app ci",
        "webhook rotate app ci --yes",
        "webhook revoke app ci --yes",
        "webhook signature",
        "webhook unsign",
        "deliveries",
        "deliveries show v1",
        "deliveries redeliver v1",
        "registries",
        "registries add a https://b",
        "tags a",
        "projects create a/b",
    ],
)
def test_json_is_one_document_on_stdout(tagboat: Tagboat, words: str) -> None:
    done = tagboat(*words.split(), "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize(
    "words",
    [
        "deliveries show v1",
        "deliveries",
        "status",
        "projects",
        "logs app dev",
        "explain acme/app:v1",
        "poll",
        "deploy app dev v1",
    ],
)
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_nothing_that_others_wrote_steers_a_terminal(
    tagboat: Tagboat, server: FakeServer, words: str, json_too: tuple[str, ...]
) -> None:
    server.answers = {call: steering(answer, call) for call, answer in server.answers.items()}
    done = tagboat(*words.split(), *json_too)
    assert "a" in done.stdout + done.stderr
    assert not HARMFUL.search(done.stdout + done.stderr), done


@pytest.mark.parametrize("words", ["deliveries show v1", "status", "webhook url"])
def test_nor_does_what_a_server_complains_of(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    server.answers = dict.fromkeys(server.answers, problem(500, f"fault: {STEERS}"))
    done = tagboat(*words.split())
    assert "fault: a" in done.stderr
    assert not HARMFUL.search(done.stderr), done


def steering(answer: Any, key: str) -> Any:  # noqa: ANN401 - any JSON
    """The answer with what is prose, or somebody's own words, steering a terminal."""
    if isinstance(answer, Mapping):
        return {name: steering(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [steering(value, key) for value in answer]
    free = {"reason", "log", "detail", "body", "user-agent", "error", "lines", "image", "sender"}
    return f"{answer}{STEERS}" if isinstance(answer, str) and key in free else answer


STRUCTURE = {"id", "name", "status", "state", "source", "action", "kind", "next", "cursor", "at"}
"""Fields that nobody outside can write."""


def poisoned(answer: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    """The answer with all that an app, a sender or a registry may have written steering."""
    if callable(answer):
        return lambda fake, asked: poisoned(answer(fake, asked))
    if isinstance(answer, Said):
        is_json = not isinstance(answer.body, bytes)
        return replace(answer, body=poisoned(answer.body)) if is_json else answer
    if isinstance(answer, Mapping):
        return {name: poisoned(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [poisoned(value, key) for value in answer]
    is_free = isinstance(answer, str) and key not in STRUCTURE and not key.endswith("_at")
    return f"{answer}{STEERS}" if is_free else answer


MORE_COMMANDS = ["deploys logs d1", "env list app dev", "secrets", "users show Anna", "images Ours"]


@pytest.mark.parametrize(
    "command",
    [*OPERATION_COMMANDS.values(), *map(OperationCommand, MORE_COMMANDS)],
    ids=lambda command: command.line,
)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_no_command_prints_what_steers_a_terminal(
    quick: Tagboat, server: FakeServer, command: OperationCommand, more: tuple[str, ...]
) -> None:
    with_all_things(server)
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"log": "line"}
    server.answers["GET /api/config"] = {"projects": {"app": {"image": "a", "env": {"A": "b"}}}}
    server.answers = {call: poisoned(answer) for call, answer in server.answers.items()}
    done = quick(*words_of(command, quick.directory), *more, piped=command.piped)
    assert done.returncode in {0, 1}, done.stderr
    assert not HARMFUL.search(done.stdout + done.stderr), done
    if more and done.returncode == 0:
        json.loads(done.stdout)


def test_a_log_that_is_followed_does_not_steer_either(quick: Tagboat, server: FakeServer) -> None:
    text = json.dumps({"text": STEERS})
    events = (f"event: note\ndata: {text}", f"event: line\ndata: {text}", "event: end\ndata: {}")
    stream = "".join(f"{event}\n\n" for event in events)
    server.answers["GET /api/stages/s1/logs"] = Said(stream.encode())
    done = quick("logs", "app", "dev", "-f")
    assert [said[0] for said in (done.stdout, done.stderr)] == ["a", "a"]
    assert not HARMFUL.search(done.stdout + done.stderr)


@pytest.mark.parametrize("command", ["projects", "status", "poll"])
def test_a_new_server_says_how_to_begin(tagboat: Tagboat, server: FakeServer, command: str) -> None:
    server.answers |= {
        "GET /api/projects": page(),
        "GET /api/instances": page(),
        "GET /api/deploys": page(),
        "POST /api/poll": {"items": []},
    }
    done = tagboat(command)
    assert (done.returncode, NOTHING_YET in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "call", "body"),
    [
        ("rollback app dev", "POST /api/stages/s1/rollback", {"to": None}),
        ("rollback app dev --to d0", "POST /api/stages/s1/rollback", {"to": "d0"}),
        ("promote app qa dev", "POST /api/stages/s1/promote", {"from": "s0"}),
        ("cancel d1", "POST /api/deploys/d1/cancel", None),
        ("hold app dev", "POST /api/stages/s1/hold", None),
        ("release app dev", "POST /api/stages/s1/release", {"including": False}),
        ("release app dev --including", "POST /api/stages/s1/release", {"including": True}),
    ],
)
def test_orders_ask_for_what_was_said(
    tagboat: Tagboat, server: FakeServer, words: str, call: str, body: object
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE, STAGE | {"id": "s0", "name": "qa"})
    assert tagboat(*words.split()).returncode == 0
    assert [
        (asked.call, asked.body) for asked in server.asked if asked.call.startswith("POST")
    ] == [(call, body)]


@pytest.mark.parametrize("words", ["rollback app dev", "promote app dev dev", "cancel d1"])
def test_what_the_server_refuses_is_told_and_fails(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    refused = problem(409, "that cannot be")
    server.answers |= {
        "POST /api/stages/s1/rollback": refused,
        "POST /api/stages/s1/promote": refused,
        "POST /api/deploys/d1/cancel": refused,
    }
    done = tagboat(*words.split())
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "tagboat: that cannot be\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Usage: tagboat"),
        (["deploy", "app"], "Missing argument 'STAGE'"),
        (["sail"], "No such command 'sail'"),
        (["statsu"], "Did you mean 'status'"),
        (["status", "--jsno"], "No such option"),
        (["logs", "app", "dev", "--tail", "-1"], "--tail"),
        (["status", "more"], "unexpected extra argument"),
        (["projects", "more"], "No such command 'more'"),
        (["deliveries", "--limit", "201"], "--limit"),
        (["deliveries", "shwo"], "Did you mean 'show'"),
    ],
)
def test_wrong_usage(tagboat: Tagboat, words: list[str], said: str) -> None:
    done = tagboat(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_version(here: Tagboat) -> None:
    assert here("--version").stdout == f"tagboat {__version__}\n"


def test_help_names_every_command(here: Tagboat) -> None:
    text = here("--help").stdout
    for command in (
        "serve",
        "status",
        "webhook",
        "projects",
        "deploy",
        "logs",
        "explain",
        "poll",
        "doctor",
    ):
        assert f"\n  {command} " in text
    assert "Examples:\n    tagboat serve " in text


def test_help_of_every_command(here: Tagboat, server: FakeServer) -> None:
    for words in (
        "serve",
        "status",
        "webhook url",
        "webhook regenerate",
        "projects",
        "deploy",
        "logs",
        "explain",
        "poll",
    ):
        done = here(*words.split(), "--help")
        assert (done.returncode, done.stdout.startswith(f"Usage: tagboat {words} ")) == (0, True)
    assert server.asked == []


def loaded(tagboat: Tagboat, *words: str) -> set[str]:
    """The modules in memory after a command."""
    program = (
        "import sys\nfrom tagboat.cli.entry import run\n"
        f"sys.argv = {['tagboat', *words]!r}\n"
        "try: run()\nexcept SystemExit as end: assert end.code == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=tagboat.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy(here: Tagboat) -> None:
    heavy = {
        "aiodocker",
        "aiohttp",
        "asyncio",
        "fastapi",
        "pydantic",
        "rich",
        "sqlalchemy",
        "starlette",
        "urllib.request",
    }
    found = loaded(here, "--help")
    assert "typer" in found
    assert not heavy & found


def test_a_command_that_asks_the_server_loads_none_of_it(tagboat: Tagboat) -> None:
    heavy = {
        "aiodocker",
        "aiohttp",
        "asyncio",
        "fastapi",
        "sqlalchemy",
        "starlette",
        "structlog",
        "tagboat.app",
        "uvicorn",
    }
    found = loaded(tagboat, "projects")
    assert "urllib.request" in found
    assert not heavy & found


GROUPS = [
    context.info_name
    for context in ALL
    if isinstance(context.command, TyperGroup) and context.parent is not None
    # There is nothing to list: it reads files of other programs.
    if context.info_name != "import"
]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_by_itself_and_by_either_name(
    quick: Tagboat, server: FakeServer, group: str
) -> None:
    with_all_things(server)
    for more in ([], ["--json"]):
        bare, *named = (quick(group, *word, *more) for word in ([], ["list"], ["ls"]))
        # HAProxy is on the server's machine: elsewhere all three say that.
        assert bare.returncode == 0 or group == "ingress", bare.stderr
        assert bare.stdout + bare.stderr
        assert [(one.stdout, one.stderr, one.returncode) for one in named] == [
            (bare.stdout, bare.stderr, bare.returncode)
        ] * 2


@pytest.mark.parametrize("words", [(), ("deploys",), ("deploys", "show"), ("deploy",), ("env",)])
def test_help_has_a_short_name(quick: Tagboat, words: tuple[str, ...]) -> None:
    short, long = (quick(*words, option) for option in ("-h", "--help"))
    assert (short.returncode, short.stdout) == (0, long.stdout)


def test_the_short_help_of_a_command_that_is_run_is_not_ours(quick: Tagboat) -> None:
    """Else a script would take a help for the run of its command."""
    done = quick("run", "shop", "prod", "df", "-h")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_bare_group_takes_the_options_of_its_list(quick: Tagboat, server: FakeServer) -> None:
    with_all_things(server)
    for words in (["--status", "failed"], ["--limit", "3", "--status=failed", "--json"]):
        bare, named = (quick("deploys", *word, *words) for word in ([], ["list"]))
        assert (bare.stdout, bare.returncode) == (named.stdout, 0), bare.stderr
    wrong = quick("deploys", "--state", "failed")
    assert (wrong.returncode, "No such option: --state" in wrong.stderr) == (2, True)
    assert quick("deploys", "--nope", "show", "d1").returncode == 2


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (("projects", "stages", "registries", "users", "tokens"), ("delete", "remove")),
        (("projects", "stages", "registries", "users", "tokens"), ("create", "add")),
        (("registries",), ("change", "edit")),
    ],
)
def test_a_command_is_found_by_the_word_of_another_group(
    here: Tagboat, groups: tuple[str, ...], words: tuple[str, str]
) -> None:
    for group in groups:
        first, second = (here(group, word, "--help") for word in words)
        assert (first.returncode, second.returncode) == (0, 0), group
        assert first.stdout.partition("\n")[2] == second.stdout.partition("\n")[2]
        listed = here(group, "--help").stdout.partition("Commands:")[2]
        assert len([word for word in words if f"  {word} " in listed]) == 1, group


NOT_COMPLETED = {
    "tagboat explain": {"image"},
    "tagboat login": {"url"},
    "tagboat diff": {"file"},
    "tagboat apply": {"file"},
    "tagboat settings set": {"value"},
    "tagboat stages add": {"stage"},
    "tagboat stages preview": {"pattern"},
    "tagboat registries add": {"name", "url"},
    "tagboat webhook add": {"name"},
    "tagboat webhook rename": {"new_name"},
    "tagboat users create": {"name"},
    "tagboat tokens create": {"name"},
    "tagboat adopt": {"container", "project", "stage"},
    "tagboat backup": {"file"},
    "tagboat restore": {"file"},
    "tagboat import compose": {"file", "services", "stage"},
    "tagboat run": {"command"},
}
"""Arguments that nobody can know: new names, addresses and values; and files, which shells know."""
NAMES_OF_OPTIONS = {"--project", "--stage", "--to", "--registry"}


def test_each_argument_is_completed() -> None:
    without: dict[str, set[str | None]] = {}
    # A hidden command is another one by a second name.
    for context in (one for one in ALL if not one.command.hidden):
        for param in context.command.params:
            is_name = isinstance(param, TyperArgument) or NAMES_OF_OPTIONS & set(param.opts)
            if is_name and param.shell_complete(context, "") == [] and not completes(param):
                without.setdefault(context.command_path, set()).add(param.name)
    new_stage = {"tagboat projects create": {"stage"}}
    assert without == NOT_COMPLETED | new_stage


def test_each_command_has_json() -> None:
    without = {
        context.command_path
        for context in ALL
        if isinstance(context.command, TyperCommand)
        and not any("--json" in param.opts for param in context.command.params)
    }
    # They run until somebody ends them.
    assert without == {"tagboat serve", "tagboat edge", "tagboat ingress run"}


def completes(param: Any) -> bool:  # noqa: ANN401 - typer has its own parameters
    return param._custom_shell_complete is not None
