"""`tagboat projects`, and the commands below it."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject
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
    ImageArg,
    JsonOption,
    ProjectArg,
    VolumesOption,
    YesOption,
    connect,
)
from tagboat.cli.prompts import confirm

NO_PROJECT_YET = (
    "There is no project yet: push an image and let its registry call the webhook "
    "('tagboat webhook url' shows its URL)."
)
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
_OPTION_OF_FIELD = {
    "image": "--image",
    "name": "--name",
    "port": "--port",
    "healthcheck": "--healthcheck",
    "protocol": "--protocol",
}
_NOT_RECORDED = {"outcome": None, "deploy": None, "reason": "not recorded"}


@app.callback()
def projects_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List, create, show, change and delete projects."""
    if ctx.invoked_subcommand is None:
        projects_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def projects_list(*, as_json: JsonOption = False) -> None:
    """List the projects, their stages and last polls."""
    client = connect()
    items = client.items("/api/projects")
    if as_json:
        show.as_json(items)
    elif items:
        stages: dict[str, list[ApiObject]] = {item["id"]: [] for item in items}
        for row in client.items("/api/overview"):
            # A project that was created since the list was read is in the next one.
            stages.setdefault(row["project"]["id"], []).append(row)
        show.table(
            ("project", "image", "port", "stages", "live", "last poll"),
            (
                (
                    item["name"],
                    item["image"],
                    item["port"],
                    ", ".join(row["stage"]["name"] for row in stages[item["id"]]),
                    # Several stages may have the same tag live.
                    ", ".join(
                        dict.fromkeys(
                            one["tag"] for row in stages[item["id"]] for one in row["live"]
                        )
                    ),
                    f"failed: {item['poll']['error']}"
                    if item["poll"]["error"]
                    else show.timestamp(item["poll"]["last_at"]) or "never",
                )
                for item in items
            ),
        )
    else:
        show.line(NO_PROJECT_YET)


@app.command("add", hidden=True)
@app.command("create")
def projects_create(
    image: ImageArg,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Default: the last part of the image's name.")
    ] = None,
    stage: Annotated[str, typer.Option("--stage", help="The name of its first stage.")] = "dev",
    pattern: Annotated[str, typer.Option("--pattern", help="Tags that go to that stage.")] = "*",
    port: Annotated[
        int | None, typer.Option("--port", help="Default: the port that the image exposes.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="http (default), h2c (gRPC) or https.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project for an image, with one stage.

    Nothing is deployed yet. If a value is invalid, nothing is created.
    """
    # A tag or digest belongs to no name; the server refuses both with a sentence.
    default_name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    body = {
        "image": image,
        "name": name or default_name,
        **given_fields({"port": port, "protocol": protocol}, None),
        "stages": [{"name": stage, "tag_pattern": pattern}],
    }
    options = _OPTION_OF_FIELD | {
        "image": "IMAGE",
        "stages.0.name": "--stage",
        "stages.0.tag_pattern": "--pattern",
        "tag_pattern": "--pattern",
    }
    with fields_as_options(options):
        project = connect().post("/api/projects", body)
    # Scripts read the two apart.
    (saved,) = project.pop("stages")
    if as_json:
        show.as_json({"project": project, "stage": saved})
        return
    show.line(
        f"the project {project['name']} deploys {project['image']}: tags that match {pattern} go "
        f"to the stage {stage}. Push one, or run "
        f"'tagboat deploy {project['name']} {stage} TAG'"
    )
    show_warnings(saved)


@app.command("show")
def projects_show(project: ProjectArg, *, as_json: JsonOption = False) -> None:
    """Show all fields of a project, and its stages."""
    client = connect()
    found = find_project(client, project)
    stages = client.items(f"/api/projects/{found['id']}/stages")
    if as_json:
        show.as_json({**found, "stages": stages})
    else:
        names = ", ".join(f"{stage['name']} ({stage['tag_pattern']})" for stage in stages)
        show_fields({**found, "stages": names})


@app.command("edit")
def projects_edit(
    project: ProjectArg,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Another name; addresses change with it.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Another image.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Port of the app; 0 for none.")
    ] = None,
    healthcheck: Annotated[
        str | None,
        typer.Option("--healthcheck", metavar="PATH", help="/path, image, or '' for port only."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="http, h2c (gRPC) or https.")
    ] = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change fields of a project, from the next deploy on.

    Set a field without an option with --set, such as --set memory=512m, or --set port_set=false
    to take the port from the image again. 'tagboat projects show' lists the fields.
    """
    options = {
        "name": name,
        "image": image,
        "port": port,
        "healthcheck": healthcheck,
        "protocol": protocol,
    }
    fields = require_change(given_fields(options, sets))
    client = connect()
    path = f"/api/projects/{find_project(client, project)['id']}"
    with fields_as_options(
        _OPTION_OF_FIELD, lambda: body_fields(client, "patch", "/api/projects/{project_id}")
    ):
        saved = client.patch(path, fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"the project {saved['name']} is changed, from the next deploy on")


# Its first name, which scripts may still use.
@app.command("remove", hidden=True)
@app.command("delete")
def projects_delete(
    project: ProjectArg,
    *,
    stage: Annotated[
        str | None,
        typer.Option("--stage", help="Only that stage of it.", autocompletion=complete.stage_names),
    ] = None,
    volumes: VolumesOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a project, or a stage of it, with its instances.

    The volumes of its apps are kept, and listed, unless --volumes is given.
    """
    delete_project_or_stage(project, stage, volumes=volumes, yes=yes, as_json=as_json)


@app.command("tags")
def projects_tags(
    project: ProjectArg,
    *,
    contains: Annotated[
        str | None, typer.Option("--contains", metavar="TEXT", help="Only tags with this in them.")
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Those first seen last come first.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List a project's known tags, and why each was deployed or not.

    'tagboat explain' says what a push of one would do now.
    """
    client = connect()
    query = ({"text": contains} if contains else {}) | ({"order": "newest"} if newest else {})
    items = client.items(f"/api/projects/{find_project(client, project)['id']}/tags", **query)
    if as_json:
        show.as_json(items)
    elif items:
        # Tags first seen by older releases have no record of a decision.
        decided = (
            (tag, tag["last"] or _NOT_RECORDED | {"at": tag["first_seen"], "source": tag["source"]})
            for tag in items
        )
        show.table(
            ("tag", "digest", "seen", "from", "outcome", "deploy", "why"),
            (
                (
                    tag["tag"],
                    show.short_digest(tag["digest"]),
                    show.timestamp(last["at"]),
                    last["source"],
                    last["outcome"],
                    last["deploy"],
                    last["reason"],
                )
                for tag, last in decided
            ),
        )
    elif contains:
        show.line(f"No known tag of {project} has {contains!r} in it.")
    else:
        show.line(f"No tag of {project} is known yet; 'tagboat poll {project}' looks for them.")


def delete_project_or_stage(
    project: str, stage: str | None, *, volumes: bool, yes: bool, as_json: bool
) -> None:
    """Delete a project, or one stage of it; `volumes`: with the data in its volumes."""
    client = connect()
    found = find_project(client, project) if stage is None else find_stage(client, project, stage)
    what = f"the project {project}" if stage is None else f"the stage {stage} of {project}"
    if not yes:
        also = ", and all data in its volumes" if volumes else ""
        confirm(
            # capitalize() would lower the letters of the name.
            f"{what[0].upper()}{what[1:]} is deleted with its instances{also}.",
            f"{what} would be deleted{also}",
        )
    answer = client.delete(
        f"/api/{'projects' if stage is None else 'stages'}/{found['id']}",
        timeout_s=LONG_TIMEOUT_S,
        volumes="delete" if volumes else "keep",
    )
    # The answer has no content if there were no volumes.
    left = {name: answer.get(name, []) for name in ("volumes_kept", "volumes_removed")}
    if as_json:
        show.as_json(left)
        return
    show.line(f"{what} is deleted")
    if left["volumes_removed"]:
        show.line(f"deleted with their data: {', '.join(left['volumes_removed'])}")
    if left["volumes_kept"]:
        kept = ", ".join(left["volumes_kept"])
        where = ", on its node" if kept.endswith(")") else ""
        show.line(f"volumes kept: {kept} ('docker volume rm NAME' deletes one{where})")
