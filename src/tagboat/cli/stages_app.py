"""The commands below `tagboat stages`."""

from typing import Annotated

import typer

from tagboat.cli.asking import Json, OneProject, Project, StageName, Yes, add_command, ask
from tagboat.cli.fields import Sets
from tagboat.cli.projects_app import Volumes

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Pattern = Annotated[
    str | None, typer.Option("--pattern", help="Which tags go there: v*, semver:RANGE or regex:RE.")
]
Position = Annotated[
    int | None, typer.Option("--position", metavar="N", help="Tried in this order; lower is first.")
]
Auto = Annotated[
    bool | None,
    typer.Option("--auto-deploy/--no-auto-deploy", help="Whether a push deploys by itself."),
]
Instances = Annotated[
    int | None, typer.Option("--max-instances", metavar="N", help="Tags live side by side.")
]
Domains = Annotated[
    list[str] | None,
    typer.Option(
        "--domain", metavar="NAME", help="Where it answers, too. Repeatable; '' for none."
    ),
]
Strategy = Annotated[str | None, typer.Option("--strategy", help="rolling or recreate.")]
HealthTimeout = Annotated[
    int | None, typer.Option("--health-timeout", metavar="S", help="Seconds to become healthy.")
]
Watch = Annotated[
    int | None, typer.Option("--watch", metavar="S", help="Seconds that it is watched when live.")
]
Drain = Annotated[
    int | None, typer.Option("--drain", metavar="S", help="Seconds for requests of the old one.")
]


@app.callback()
def all_stages(ctx: typer.Context, *, json: Json = False) -> None:
    """List, add, show, change and delete stages of projects."""
    if ctx.invoked_subcommand is None:
        list_stages(json=json)


def list_stages(project: OneProject = None, *, json: Json = False) -> None:
    """List the stages, in the order in which they are tried."""
    from tagboat.cli.stages import stages as command

    ask(lambda client: command(client, project, as_json=json))


add_command(app, list_stages, "list", "ls")


@app.command("add")
def add_stage(
    project: Project,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="What to call it.")],
    *,
    pattern: Annotated[
        str, typer.Option("--pattern", help="Which tags go there: v*, semver:RANGE or regex:RE.")
    ],
    position: Position = None,
    auto_deploy: Auto = None,
    max_instances: Instances = None,
    domain: Domains = None,
    strategy: Strategy = None,
    health_timeout: HealthTimeout = None,
    watch: Watch = None,
    drain: Drain = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Add a stage to a project.

    Tags that are known by then are no news to it. Fields without an option are in docs/configuration.md.
    """
    from tagboat.cli.fields import given_fields
    from tagboat.cli.stages import add as command

    options = _fields(
        pattern,
        position,
        auto_deploy,
        max_instances,
        domain,
        strategy,
        health_timeout,
        watch,
        drain,
    )
    fields = given_fields({"name": stage, **options}, sets)
    ask(lambda client: command(client, project, fields, as_json=json))


@app.command("show")
def show_stage(project: Project, stage: StageName, *, json: Json = False) -> None:
    """Show all of a stage."""
    from tagboat.cli.stages import show_stage as command

    ask(lambda client: command(client, project, stage, as_json=json))


@app.command("edit")
def edit_stage(
    project: Project,
    stage: StageName,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Another name; its address follows it.")
    ] = None,
    pattern: Pattern = None,
    position: Position = None,
    auto_deploy: Auto = None,
    max_instances: Instances = None,
    domain: Domains = None,
    strategy: Strategy = None,
    health_timeout: HealthTimeout = None,
    watch: Watch = None,
    drain: Drain = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Change what is given; it holds from the next deploy on.

    Fields without an option are in docs/configuration.md, such as --set memory=512m.
    """
    from tagboat.cli.fields import given_fields, need_change
    from tagboat.cli.stages import edit as command

    options = _fields(
        pattern,
        position,
        auto_deploy,
        max_instances,
        domain,
        strategy,
        health_timeout,
        watch,
        drain,
    )
    fields = need_change(given_fields({"name": name, **options}, sets))
    ask(lambda client: command(client, project, stage, fields, as_json=json))


@app.command("delete")
def delete_stage(
    project: Project,
    stage: StageName,
    *,
    volumes: Volumes = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete a stage, with what runs.

    What apps wrote into volumes stays, and is named, unless --volumes is given.
    """
    from tagboat.cli.projects import remove as command

    ask(lambda client: command(client, project, stage, volumes=volumes, sure=yes, as_json=json))


def _fields(
    pattern: str | None,
    position: int | None,
    auto_deploy: bool | None,
    max_instances: int | None,
    domain: list[str] | None,
    strategy: str | None,
    health_timeout: int | None,
    watch: int | None,
    drain: int | None,
) -> dict[str, object | None]:
    """The API's fields that the options give, None for those left out."""
    return {
        "tag_pattern": pattern,
        "position": position,
        "auto_deploy": auto_deploy,
        "max_instances": max_instances,
        "domains": [name for name in domain if name] if domain else None,
        "strategy": strategy,
        "health_timeout_s": health_timeout,
        "watch_s": watch,
        "drain_timeout_s": drain,
    }
