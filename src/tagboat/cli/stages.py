"""`tagboat stages`, and the commands below it."""

from collections.abc import Mapping
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.comparison import show_pending_changes
from tagboat.cli.fields import (
    SetOption,
    body_fields,
    fields_as_options,
    given_fields,
    require_change,
    show_fields,
    show_warnings,
)
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import find_project, find_stage
from tagboat.cli.options import (
    JsonOption,
    LimitOption,
    OptionalProjectArg,
    OptionalStageArg,
    ProjectArg,
    StageArg,
    VolumesOption,
    YesOption,
    connect,
)
from tagboat.cli.projects import NO_PROJECT_YET, delete_project_or_stage

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
_PATTERN_HELP = "Tags that go there: v*, semver:RANGE or regex:RE."
PatternOption = Annotated[str | None, typer.Option("--pattern", help=_PATTERN_HELP)]
PositionOption = Annotated[
    int | None, typer.Option("--position", metavar="N", help="Order of trying; lowest first.")
]
AutoDeployOption = Annotated[
    bool | None,
    typer.Option("--auto-deploy/--no-auto-deploy", help="Deploy pushes automatically."),
]
MaxInstancesOption = Annotated[
    int | None, typer.Option("--max-instances", metavar="N", help="Tags live at the same time.")
]
DomainsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", metavar="NAME", help="A domain that it answers at. Repeatable; '' for none."
    ),
]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="rolling or recreate.")]
HealthTimeoutOption = Annotated[
    int | None, typer.Option("--health-timeout", metavar="S", help="Seconds to become healthy.")
]
WatchOption = Annotated[
    int | None, typer.Option("--watch", metavar="S", help="Seconds to watch it when live.")
]
DrainOption = Annotated[
    int | None, typer.Option("--drain", metavar="S", help="Seconds for the old one's requests.")
]
_FIELD_OPTIONS = {
    "name": "--name",
    "tag_pattern": "--pattern",
    "position": "--position",
    "auto_deploy": "--auto-deploy",
    "max_instances": "--max-instances",
    "domains": "--domain",
    "strategy": "--strategy",
    "health_timeout_s": "--health-timeout",
    "watch_s": "--watch",
    "drain_timeout_s": "--drain",
}


@app.callback()
def stages_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List, add, show, change and delete stages of projects."""
    if ctx.invoked_subcommand is None:
        stages_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def stages_list(project: OptionalProjectArg = None, *, as_json: JsonOption = False) -> None:
    """List the stages, in the order in which they are tried."""
    client = connect()
    # By id, so that a misspelt name is an error and not an empty list.
    filters = {} if project is None else {"project": find_project(client, project)["id"]}
    found = client.items("/api/stages", **filters)
    if as_json:
        show.as_json(found)
    elif found:
        show.table(
            ("project", "stage", "pattern", "position", "automatic", "strategy", "domains"),
            (
                (
                    stage["project"]["name"],
                    stage["name"],
                    stage["tag_pattern"],
                    stage["position"],
                    "held" if stage["held"] else "yes" if stage["auto_deploy"] else "no",
                    stage["strategy_in_force"],
                    ", ".join(stage["domains"]),
                )
                for stage in found
            ),
        )
    elif project is None:
        show.line(NO_PROJECT_YET)
    else:
        add = f"'tagboat stages add {project} NAME --pattern PATTERN'"
        show.line(f"{project} has no stage yet; {add} adds one")


@app.command("create", hidden=True)
@app.command("add")
def stages_add(
    project: ProjectArg,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The new stage's name.")],
    *,
    pattern: Annotated[str, typer.Option("--pattern", help=_PATTERN_HELP)],
    position: PositionOption = None,
    auto_deploy: AutoDeployOption = None,
    max_instances: MaxInstancesOption = None,
    domain: DomainsOption = None,
    strategy: StrategyOption = None,
    health_timeout: HealthTimeoutOption = None,
    watch: WatchOption = None,
    drain: DrainOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a stage to a project.

    It deploys only tags that arrive later. Set a field without an option with --set;
    'tagboat stages show' lists the fields of another stage.
    """
    # Each option by hand: typer takes its options from the signature.
    options = _stage_fields(
        stage, pattern, position, auto_deploy, max_instances, domain, strategy, health_timeout,
        watch, drain,
    )  # fmt: skip
    fields = given_fields(options, sets)
    client = connect()
    path = f"/api/projects/{find_project(client, project)['id']}/stages"
    with fields_as_options(
        _FIELD_OPTIONS | {"name": "STAGE"},
        lambda: body_fields(client, "post", "/api/projects/{project_id}/stages"),
    ):
        saved = client.post(path, fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(
            f"tags of {project} that match {saved['tag_pattern']} go to its new stage "
            f"{saved['name']}"
        )
    show_warnings(saved)


@app.command("show")
def stages_show(project: ProjectArg, stage: StageArg, *, as_json: JsonOption = False) -> None:
    """Show all fields of a stage."""
    found = find_stage(connect(), project, stage)
    if as_json:
        show.as_json(found)
    else:
        show_fields(found)


@app.command("edit")
def stages_edit(
    project: ProjectArg,
    stage: StageArg,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Another name; its address changes with it.")
    ] = None,
    pattern: PatternOption = None,
    position: PositionOption = None,
    auto_deploy: AutoDeployOption = None,
    max_instances: MaxInstancesOption = None,
    domain: DomainsOption = None,
    strategy: StrategyOption = None,
    health_timeout: HealthTimeoutOption = None,
    watch: WatchOption = None,
    drain: DrainOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change fields of a stage, from the next deploy on.

    Set a field without an option with --set, such as --set memory=512m. 'tagboat stages show'
    lists the fields.
    """
    options = _stage_fields(
        name, pattern, position, auto_deploy, max_instances, domain, strategy, health_timeout,
        watch, drain,
    )  # fmt: skip
    fields = require_change(given_fields(options, sets))
    client = connect()
    path = f"/api/stages/{find_stage(client, project, stage)['id']}"
    with fields_as_options(
        _FIELD_OPTIONS, lambda: body_fields(client, "patch", "/api/stages/{stage_id}")
    ):
        saved = client.patch(path, fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"the stage {saved['name']} of {project} is changed, from the next deploy on")
    show_warnings(saved)


@app.command("history")
def stages_history(
    project: ProjectArg, stage: StageArg, *, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """List what was live in a stage, newest first, and how each ended.

    'tagboat rollback PROJECT STAGE --to DEPLOY' goes back to one of them.
    """
    client = connect()
    found = find_stage(client, project, stage)
    items = client.get(f"/api/stages/{found['id']}/history", limit=limit)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("deploy", "tag", "digest", "live from", "until", "rollback", "how it ended"),
            (
                (
                    item["deploy"],
                    item["tag"],
                    show.short_digest(item["digest"]),
                    show.timestamp(item["live_from"]),
                    show.timestamp(item["live_until"]) or "now",
                    "yes" if item["rollback_possible"] else "no",
                    "; ".join(filter(None, (item["reason"], item["note"], item["warning"]))),
                )
                for item in items
            ),
        )
    else:
        show.line("Nothing was ever live.")


@app.command("pending")
def stages_pending(project: ProjectArg, stage: StageArg, *, as_json: JsonOption = False) -> None:
    """Show what is saved in a stage, and not live yet.

    It is live from the next deploy on.
    """
    client = connect()
    found = client.get(f"/api/stages/{find_stage(client, project, stage)['id']}/pending")
    if as_json:
        show.as_json(found)
    else:
        show_pending_changes(found)


@app.command("preview")
def stages_preview(
    project: ProjectArg,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="The tag pattern to try.")],
    stage: OptionalStageArg = None,
    *,
    position: PositionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a tag pattern without saving it.

    On the known tags and the last pushes.

    With STAGE it is tried in place of that stage's own, else as a new stage's.
    """
    client = connect()
    query: dict[str, object] = {"pattern": pattern}
    if stage is not None:
        query["stage"] = find_stage(client, project, stage)["id"]
    if position is not None:
        query["position"] = position
    path = f"/api/projects/{find_project(client, project)['id']}/pattern"
    found = client.get(path, **query)
    if as_json:
        show.as_json(found)
        return
    newest = f": {', '.join(found['newest'])}" if found["newest"] else ""
    show.line(f"{found['matching']} of {found['tags']} known tags match{newest}")
    if found["pushes"]:
        show.line(found["summary"] or f"the last {found['pushes']} pushes would not have changed")
    show_warnings(found)


@app.command("remove", hidden=True)
@app.command("delete")
def stages_delete(
    project: ProjectArg,
    stage: StageArg,
    *,
    volumes: VolumesOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a stage, with its instances.

    The volumes of its apps are kept, and listed, unless --volumes is given.
    """
    delete_project_or_stage(project, stage, volumes=volumes, yes=yes, as_json=as_json)


def _stage_fields(
    name: str | None,
    pattern: str | None,
    position: int | None,
    auto_deploy: bool | None,
    max_instances: int | None,
    domain: list[str] | None,
    strategy: str | None,
    health_timeout: int | None,
    watch: int | None,
    drain: int | None,
) -> Mapping[str, object | None]:
    """Return the fields of the API for the options, None for those that were not given."""
    # One `--domain ''` means no domains at all.
    domains = [each for each in domain if each] if domain else None
    values = (
        name, pattern, position, auto_deploy, max_instances, domains, strategy, health_timeout,
        watch, drain,
    )  # fmt: skip
    return dict(zip(_FIELD_OPTIONS, values, strict=True))
