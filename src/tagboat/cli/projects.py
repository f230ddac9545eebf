"""`tagboat projects`, and `create` below it."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.core.errors import TagboatError

NONE_YET = "There is no project yet: push an image and let its registry call the webhook ('tagboat webhook url' shows it)."
_COLUMNS = ("project", "image", "port", "stages", "live", "last poll")


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


def create(client: Client, image: str, *, name: str | None, stage: str, pattern: str, port: int | None, as_json: bool) -> int:
    """Make a project of an image, with one stage."""
    asked: dict[str, object] = {"image": image, "name": name or image.rpartition("/")[2]}
    project = client.post("/api/projects", asked if port is None else {**asked, "port": port})
    try:
        saved = client.post(f"/api/projects/{project['id']}/stages", {"name": stage, "tag_pattern": pattern})
    except TagboatError as error:
        raise TagboatError(f"the project {project['name']} is made, but not its stage {stage}: {error}") from None
    if as_json:
        show.as_json({"project": project, "stage": saved})
        return 0
    show.line(
        f"the project {project['name']} deploys {project['image']}: tags that match {pattern} go to the stage {stage}; "
        f"the first goes there by a push, or with 'tagboat deploy {project['name']} {stage} TAG'"
    )
    return 0


def _row(client: Client, project: Answer, live: list[Answer]) -> tuple[object, ...]:
    stages = client.items(f"/api/projects/{project['id']}/stages")
    poll = project["poll"]
    return (
        project["name"],
        project["image"],
        project["port"],
        ", ".join(stage["name"] for stage in stages),
        ", ".join(dict.fromkeys(instance["tag"] for instance in live if instance["project"]["id"] == project["id"])),
        f"failed: {poll['error']}" if poll["error"] else show.when(poll["last_at"]) or "not yet",
    )
