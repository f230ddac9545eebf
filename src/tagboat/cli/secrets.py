"""`tagboat secrets`: secrets of projects and stages, which are never shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.context import current_context
from tagboat.cli.list_group import ListGroup
from tagboat.cli.map_entries import list_entries, show_entries
from tagboat.cli.options import (
    JsonOption,
    OptionalProjectArg,
    OptionalStageArg,
    ProjectArg,
    connect,
)
from tagboat.cli.prompts import is_interactive, prompt_secret
from tagboat.cli.rollout import DeploySavedOption, Rollout, WaitSavedOption
from tagboat.cli.run_maps import (
    STANDARD_INPUT,
    Changes,
    FromFileOption,
    change_maps,
    choose_holder,
    finish_change,
    read_pairs,
    remove_names,
)
from tagboat.cli.secret_values import read_secret
from tagboat.core.config_file import SECRET_MAPS
from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import RefKind, SecretRef

SECRETS_LIST_HELP = """List the names of secrets, and where each comes from.

With STAGE: all that its next deploy gets, also from the project. Values are never shown.

\b
  tagboat secrets list shop prod
"""
SECRETS_SET_HELP = """Set secrets of a project or a stage.

All others stay. The app gets each as an environment variable, or with --file as a file in
/run/secrets. A value is typed unseen, piped in, or read from a file. It is never a word of the
command: other users of the machine would see it, and the shell would keep it in its history.

\b
  tagboat secrets set shop DB_PASSWORD
  openssl rand -hex 24 | tagboat secrets set shop prod SESSION_KEY
  tagboat secrets set shop prod DB_PASSWORD --value-file db.txt
  tagboat secrets set shop prod --from-file .env.secret
  tagboat secrets set shop prod --file tls.key=./tls.key
  tagboat secrets set shop prod DB_PASSWORD --wait
"""
SECRETS_UNSET_HELP = """Remove secrets of a project or a stage.

Secret files are named like the others.

\b
  tagboat secrets unset shop prod DB_PASSWORD
"""
_KIND_WORDS = {"secrets": "variable", "secret_files": "file"}
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def secrets_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List, set and remove secrets; values are never shown."""
    if ctx.invoked_subcommand is None:
        secrets_list(as_json=as_json)


@app.command("ls", help=SECRETS_LIST_HELP, hidden=True)
@app.command("list", help=SECRETS_LIST_HELP)
def secrets_list(
    project: OptionalProjectArg = None,
    stage: OptionalStageArg = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """See SECRETS_LIST_HELP."""
    entries = list_entries(connect(), project, stage, SECRET_MAPS)
    if as_json:
        show.as_json([{**entry.as_json(), "kind": _KIND_WORDS[entry.field]} for entry in entries])
    elif entries:
        kinds = [_KIND_WORDS[entry.field] for entry in entries]
        show_entries(entries, ("kind", kinds), of_one=project is not None)
    else:
        where = " ".join(filter(None, (project, stage)))
        show.line(
            f"{where or 'No project'} has {'no' if where else 'a'} secret yet; "
            f"'tagboat secrets set {where or 'PROJECT'} NAME' sets one."
        )


@app.command("set", help=SECRETS_SET_HELP)
def secrets_set(
    project: ProjectArg,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STAGE|NAME",
            help="The stage, if one is meant; then the secrets.",
            autocompletion=complete.secret_names,
        ),
    ] = None,
    *,
    value_file: Annotated[
        Path | None,
        typer.Option(
            "--value-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A file with the value of one secret.",
        ),
    ] = None,
    from_file: FromFileOption = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", metavar="NAME=PATH", help="A file for /run/secrets/NAME. Repeatable."
        ),
    ] = None,
    deploy: DeploySavedOption = False,
    wait: WaitSavedOption = False,
    as_json: JsonOption = False,
) -> None:
    """See SECRETS_SET_HELP."""
    _refuse_values(words or ())
    pairs = [pair.partition("=") for pair in files or ()]
    if any(not (name and path) for name, _, path in pairs):
        raise typer.BadParameter("write NAME=PATH, such as tls.key=./tls.key", param_hint="--file")
    has_files = bool(pairs) or from_file is not None
    client = connect()
    # A wrong name is an error before a secret is typed.
    holder, names = choose_holder(client, project, words or (), SECRET_MAPS, alone=not has_files)
    if not names and not has_files:
        raise typer.BadParameter("say which secret to set", param_hint="NAME")
    _refuse_two_values(names, value_file, from_file)
    # Files before questions: nobody types a secret for a command that fails.
    contents = {name: _read_content(path) for name, _, path in pairs}
    given = read_pairs(from_file) if from_file is not None else {}
    given |= {name: prompt_secret(f"value of {name}", value_file) for name in names}

    def plan(_now: ApiObject) -> Changes:
        # Values on the server are not known here, so that each counts as new.
        return {"secrets": given, "secret_files": contents}

    saved = change_maps(client, holder, plan)
    names = [*given, *contents]
    if not names and not as_json:
        show.line(f"{from_file} has no secret in it; nothing is changed")
    rollout = Rollout(deploy, wait, as_json)
    finish_change(client, holder, saved, names, "saved", SECRET_MAPS, rollout)


@app.command("unset", help=SECRETS_UNSET_HELP)
def secrets_unset(
    project: ProjectArg,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="STAGE|NAME",
            help="The stage, if one is meant; then the secrets.",
            autocompletion=complete.secret_names,
        ),
    ],
    *,
    deploy: DeploySavedOption = False,
    wait: WaitSavedOption = False,
    as_json: JsonOption = False,
) -> None:
    """See SECRETS_UNSET_HELP."""
    remove_names(project, words, SECRET_MAPS, Rollout(deploy, wait, as_json))


def _refuse_values(words: Sequence[str]) -> None:
    """Raise typer.BadParameter for NAME=VALUE, without repeating the value."""
    for word in words:
        name, equals, _ = word.partition("=")
        if equals:
            raise typer.BadParameter(
                f"give {name[:80] or 'NAME'} without its value. The shell keeps commands in its"
                " history, and other users of this machine see them: change the secret if it is"
                " in use. The value is typed unseen, piped in, or read with --value-file",
                param_hint="NAME",
            )


def _refuse_two_values(
    names: Sequence[str], value_file: Path | None, from_file: Path | None
) -> None:
    """Raise typer.BadParameter where one value, or the standard input, would be used twice."""
    if value_file is not None and len(names) != 1:
        raise typer.BadParameter("holds the value of one secret", param_hint="--value-file")
    # A person is asked for each value in turn.
    if value_file is not None or is_interactive():
        return
    if len(names) > 1:
        raise typer.BadParameter(
            "only one value can be piped in; --from-file - reads lines NAME=VALUE",
            param_hint="NAME",
        )
    if names and from_file == STANDARD_INPUT:
        raise typer.BadParameter("the value is piped in already", param_hint="--from-file")


def _read_content(path: str) -> str:
    """Return the text of a secret file, whole. Raises TagboatError if it is no text."""
    ref = SecretRef(RefKind.FILE, path)
    content = read_secret(ref, {}, current_context().cwd, is_file=True)
    if content is None:
        raise TagboatError(f"{path} has no content")
    return content
