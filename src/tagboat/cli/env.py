"""`tagboat env`: environment variables of projects and stages."""

from collections.abc import Sequence
from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.list_group import ListGroup
from tagboat.cli.map_entries import list_entries, show_entries
from tagboat.cli.options import (
    JsonOption,
    OptionalProjectArg,
    OptionalStageArg,
    ProjectArg,
    connect,
)
from tagboat.cli.rollout import DeploySavedOption, Rollout, WaitSavedOption
from tagboat.cli.run_maps import (
    Changes,
    FromFileOption,
    change_maps,
    find_holder,
    finish_change,
    read_pairs,
    remove_names,
)

ENV_LIST_HELP = """List environment variables, and where each comes from.

With STAGE: all that its next deploy gets, also from the project.

\b
  tagboat env list shop prod
"""
ENV_SET_HELP = """Set environment variables of a project or a stage.

All others stay. Those of a project are for all its stages, and a stage's own replace them. Keep
passwords with 'tagboat secrets set': the values here are shown to everybody who may look.

With --deploy or --wait, stages where something saved is not live are deployed again: the same
digest, while the old instance serves.

\b
  tagboat env set shop LOG_LEVEL=info
  tagboat env set shop prod LOG_LEVEL=warning GREETING='Good morning'
  tagboat env set shop prod LOG_LEVEL=debug --wait
  tagboat env set shop prod --from-file .env
"""
ENV_UNSET_HELP = """Remove environment variables of a project or a stage.

\b
  tagboat env unset shop prod LOG_LEVEL
"""
_ENV_MAPS = ("env",)
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def env_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List, set and remove environment variables."""
    if ctx.invoked_subcommand is None:
        env_list(as_json=as_json)


@app.command("ls", help=ENV_LIST_HELP, hidden=True)
@app.command("list", help=ENV_LIST_HELP)
def env_list(
    project: OptionalProjectArg = None,
    stage: OptionalStageArg = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """See ENV_LIST_HELP."""
    entries = list_entries(connect(), project, stage, _ENV_MAPS)
    if as_json:
        show.as_json([{**entry.as_json(), "value": entry.value} for entry in entries])
    elif entries:
        # An empty value, and one that is a dash, look alike otherwise.
        values = [entry.value or '""' for entry in entries]
        show_entries(entries, ("value", values), of_one=project is not None)
    else:
        where = " ".join(filter(None, (project, stage)))
        show.line(
            f"{where or 'No project'} has {'no ' if where else 'an '}environment variable yet; "
            f"'tagboat env set {where or 'PROJECT'} NAME=VALUE' sets one."
        )


@app.command("set", help=ENV_SET_HELP)
def env_set(
    project: ProjectArg,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STAGE|NAME=VALUE",
            help="The stage, if one is meant; then the variables.",
            autocompletion=complete.variable_pairs,
        ),
    ] = None,
    *,
    from_file: FromFileOption = None,
    deploy: DeploySavedOption = False,
    wait: WaitSavedOption = False,
    as_json: JsonOption = False,
) -> None:
    """See ENV_SET_HELP."""
    # One argument for both: typer cannot leave out one in the middle.
    pairs = list(words or ())
    # No name of a stage has an equals sign.
    stage = pairs.pop(0) if pairs and "=" not in pairs[0] else None
    given = _read_words(pairs)
    if not given and from_file is None:
        raise typer.BadParameter(
            "say what to set, such as LOG_LEVEL=info; LOG_LEVEL= sets an empty value",
            param_hint="NAME=VALUE",
        )
    client = connect()
    holder = find_holder(client, project, stage)
    wanted = {**(read_pairs(from_file) if from_file is not None else {}), **given}
    changed: list[str] = []

    def plan(now: ApiObject) -> Changes:
        changed[:] = [name for name, value in wanted.items() if now["env"].get(name) != value]
        return {"env": {name: wanted[name] for name in changed}}

    # What the server has already is left out: the audit shows what was changed.
    saved = change_maps(client, holder, plan)
    if not changed and not as_json:
        show.line(f"{holder.words} has these values already; nothing is changed")
    rollout = Rollout(deploy, wait, as_json)
    finish_change(client, holder, saved, changed, "saved", _ENV_MAPS, rollout)


@app.command("unset", help=ENV_UNSET_HELP)
def env_unset(
    project: ProjectArg,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="STAGE|NAME",
            help="The stage, if one is meant; then the variables.",
            autocompletion=complete.variable_names,
        ),
    ],
    *,
    deploy: DeploySavedOption = False,
    wait: WaitSavedOption = False,
    as_json: JsonOption = False,
) -> None:
    """See ENV_UNSET_HELP."""
    remove_names(project, words, _ENV_MAPS, Rollout(deploy, wait, as_json))


def _read_words(pairs: Sequence[str]) -> dict[str, str]:
    """Return the values by name. Raises typer.BadParameter for one without a name or a value."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            why = "has no value; NAME= sets an empty one" if name else "has no name"
            # What follows an equals sign may be anything, and is not repeated.
            raise typer.BadParameter(f"{name[:80] or '='!r} {why}", param_hint="NAME=VALUE")
        found[name] = value
    return found
