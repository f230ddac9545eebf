"""The commands below `tagboat projects`."""

from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, Project, Yes, add_list, ask
from tagboat.cli.fields import Sets

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Volumes = Annotated[
    bool, typer.Option("--volumes", help="Its volumes as well, with all that is in them.")
]
Healthcheck = Annotated[
    str | None,
    typer.Option("--healthcheck", metavar="PATH", help="/path, image, or '' for the port alone."),
]


def _list(*, json: bool) -> None:
    from tagboat.cli.projects import projects as command

    ask(lambda client: command(client, as_json=json))


@app.callback()
def list_projects(ctx: typer.Context, *, json: Json = False) -> None:
    """List, make, show, change and delete projects."""
    if ctx.invoked_subcommand is None:
        _list(json=json)


add_list(app, _list, "List the projects, their stages and last polls.")


@app.command("create")
def create_project(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="Without a tag.",
            autocompletion=complete.images,
            show_default=False,
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="The last part of the image's name unless given.")
    ] = None,
    stage: Annotated[str, typer.Option("--stage", help="The name of its first stage.")] = "dev",
    pattern: Annotated[str, typer.Option("--pattern", help="Which tags go to that stage.")] = "*",
    port: Annotated[
        int | None, typer.Option("--port", help="The image says it unless given.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="http (unless given), h2c (gRPC) or https.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a project of an image, with one stage.

    Nothing is deployed yet. Where a value cannot be used, nothing is made.
    """
    from tagboat.cli.projects import create as command

    given = {"port": port, "protocol": protocol}
    ask(
        lambda client: command(
            client, image, name=name, stage=stage, pattern=pattern, given=given, as_json=json
        )
    )


@app.command("show")
def show_project(project: Project, *, json: Json = False) -> None:
    """Show all of a project, and its stages."""
    from tagboat.cli.projects import show_project as command

    ask(lambda client: command(client, project, as_json=json))


@app.command("edit")
def edit_project(
    project: Project,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Another name; addresses follow it.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Another image.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Where the app listens; 0 for none.")
    ] = None,
    healthcheck: Healthcheck = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="http, h2c (gRPC) or https.")
    ] = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Change what is given; it holds from the next deploy on.

    Fields without an option are in docs/configuration.md: --set memory=512m, or --set port_set=false to have the image
    say the port again.
    """
    from tagboat.cli.fields import given_fields, need_change
    from tagboat.cli.projects import edit as command

    options = {
        "name": name,
        "image": image,
        "port": port,
        "healthcheck": healthcheck,
        "protocol": protocol,
    }
    fields = need_change(given_fields(options, sets))
    ask(lambda client: command(client, project, fields, as_json=json))


@app.command("remove", hidden=True)
@app.command("delete")
def delete_project(
    project: Project,
    *,
    stage: Annotated[
        str | None,
        typer.Option("--stage", help="Only that stage of it.", autocompletion=complete.stages),
    ] = None,
    volumes: Volumes = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete a project, or a stage of it, with what runs.

    What apps wrote into volumes stays, and is named, unless --volumes is given.
    """
    from tagboat.cli.projects import remove as command

    ask(lambda client: command(client, project, stage, volumes=volumes, sure=yes, as_json=json))


@app.command("tags")
def list_known_tags(project: Project, *, json: Json = False) -> None:
    """List a project's known tags, and why each was deployed or not.

    What a push of one would do as things stand now, 'tagboat explain' says.
    """
    from tagboat.cli.projects import known_tags as command

    ask(lambda client: command(client, project, as_json=json))
