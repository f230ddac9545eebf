"""`tagboat projects`, and `create`, `show`, `edit`, `tags` and `delete` below it."""

from collections.abc import Mapping

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, Answer, Client
from tagboat.cli.fields import show_record
from tagboat.cli.given import confirm
from tagboat.cli.names import find_project, find_stage

NONE_YET = "There is no project yet: push an image and let its registry call the webhook ('tagboat webhook url' shows it)."
_COLUMNS = ("project", "image", "port", "stages", "live", "last poll")
_TAG_COLUMNS = ("tag", "digest", "news", "from", "outcome", "deploy", "why")


def projects(client: Client, *, as_json: bool) -> int:
    """List the projects with what is live of each."""
    items = client.items("/api/projects")
    if as_json:
        show.as_json(items)
    elif items:
        live = client.items("/api/instances", state="live")
        show.table(_COLUMNS, (_row(client, item, live) for item in items))
    else:
        show.line(NONE_YET)
    return 0


def create(
    client: Client,
    image: str,
    *,
    name: str | None,
    stage: str,
    pattern: str,
    given: Mapping[str, object | None],
    as_json: bool,
) -> int:
    """Make a project of an image, with one stage; `given` are fields of the project, None where nothing was said."""
    said = {field: value for field, value in given.items() if value is not None}
    first = {"name": stage, "tag_pattern": pattern}
    body = {"image": image, "name": name or _last_part(image), **said, "stages": [first]}
    project = client.post("/api/projects", body)
    (saved,) = project.pop("stages")
    if as_json:
        show.as_json({"project": project, "stage": saved})
        return 0
    show.line(
        f"the project {project['name']} deploys {project['image']}: tags that match {pattern} go to the stage {stage}; "
        f"the first goes there by a push, or with 'tagboat deploy {project['name']} {stage} TAG'"
    )
    return 0


def _last_part(image: str) -> str:
    """What to call a project of that image; a tag or digest, which is refused, is not part of it."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def show_project(client: Client, project: str, *, as_json: bool) -> int:
    """Show all of a project, and its stages."""
    found = find_project(client, project)
    stages = client.items(f"/api/projects/{found['id']}/stages")
    if as_json:
        show.as_json({**found, "stages": stages})
    else:
        show_record(
            {
                **found,
                "stages": ", ".join(
                    f"{stage['name']} ({stage['tag_pattern']})" for stage in stages
                ),
            }
        )
    return 0


def edit(client: Client, project: str, fields: Mapping[str, object], *, as_json: bool) -> int:
    """Change fields of a project."""
    saved = client.patch(f"/api/projects/{find_project(client, project)['id']}", fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"the project {saved['name']} is changed; it holds from the next deploy on")
    return 0


def known_tags(client: Client, project: str, *, as_json: bool) -> int:
    """List the tags that are known of a project, with what was done about each when it was last news."""
    items = client.items(f"/api/projects/{find_project(client, project)['id']}/tags")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_TAG_COLUMNS, map(_tag_row, items))
    else:
        show.line(f"No tag of {project} is known yet; 'tagboat poll {project}' looks for them.")
    return 0


def remove(
    client: Client, project: str, stage: str | None, *, volumes: bool, sure: bool, as_json: bool
) -> int:
    """Delete a project, or one stage of it; what is in its volumes stays unless `volumes` says otherwise."""
    found = find_project(client, project) if stage is None else find_stage(client, project, stage)
    what = f"the project {project}" if stage is None else f"the stage {stage} of {project}"
    if not sure:
        also = ", and all that is in its volumes" if volumes else ""
        confirm(
            f"{what[0].upper()}{what[1:]} is deleted, with what runs{also}.",
            f"{what} would be deleted{also}",
        )
    kept = client.delete(
        f"/api/{'projects' if stage is None else 'stages'}/{found['id']}",
        timeout_s=LONG_TIMEOUT_S,
        volumes="delete" if volumes else "keep",
    )
    left = Answer(
        volumes_kept=kept.get("volumes_kept", []), volumes_removed=kept.get("volumes_removed", [])
    )
    if as_json:
        show.as_json(left)
        return 0
    show.line(f"{what} is deleted")
    if left["volumes_removed"]:
        show.line(f"deleted with all that was in them: {', '.join(left['volumes_removed'])}")
    if left["volumes_kept"]:
        show.line(
            f"these volumes stay: {', '.join(left['volumes_kept'])} ('docker volume rm NAME' deletes one)"
        )
    return 0


def _tag_row(tag: Answer) -> tuple[object, ...]:
    last = tag["last"]
    if last is None:  # since before there was a record of it
        return (
            tag["tag"],
            show.short(tag["digest"]),
            show.when(tag["first_seen"]),
            tag["source"],
            None,
            None,
            "not on record",
        )
    return (
        tag["tag"],
        show.short(tag["digest"]),
        show.when(last["at"]),
        last["source"],
        last["outcome"],
        last["deploy"],
        last["reason"],
    )


def _row(client: Client, project: Answer, live: list[Answer]) -> tuple[object, ...]:
    stages = client.items(f"/api/projects/{project['id']}/stages")
    poll = project["poll"]
    return (
        project["name"],
        project["image"],
        project["port"],
        ", ".join(stage["name"] for stage in stages),
        ", ".join(
            dict.fromkeys(
                instance["tag"] for instance in live if instance["project"]["id"] == project["id"]
            )
        ),
        f"failed: {poll['error']}" if poll["error"] else show.when(poll["last_at"]) or "not yet",
    )
