"""`tagboat stages`, and `add`, `show` and `edit` below it."""

from collections.abc import Mapping

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.fields import show_record, warn
from tagboat.cli.names import find_project, find_stage
from tagboat.cli.projects import NONE_YET

_COLUMNS = ("project", "stage", "pattern", "position", "by itself", "strategy", "domains")


def stages(client: Client, project: str | None, *, as_json: bool) -> int:
    """List the stages of one project, or of all."""
    projects = client.items("/api/projects") if project is None else [find_project(client, project)]
    found = [
        (item["name"], stage)
        for item in projects
        for stage in client.items(f"/api/projects/{item['id']}/stages")
    ]
    if as_json:
        show.as_json([stage for _, stage in found])
    elif found:
        show.table(_COLUMNS, (_row(name, stage) for name, stage in found))
    elif project is None:
        show.line(NONE_YET)
    else:
        show.line(
            f"{project} has no stage yet; 'tagboat stages add {project} NAME --pattern PATTERN' adds one"
        )
    return 0


def add(client: Client, project: str, fields: Mapping[str, object], *, as_json: bool) -> int:
    """Add a stage to a project."""
    saved = client.post(f"/api/projects/{find_project(client, project)['id']}/stages", fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(
            f"tags of {project} that match {saved['tag_pattern']} go to its new stage {saved['name']}"
        )
    warn(saved)
    return 0


def show_stage(client: Client, project: str, stage: str, *, as_json: bool) -> int:
    """Show all of a stage."""
    found = find_stage(client, project, stage)
    if as_json:
        show.as_json(found)
    else:
        show_record(found)
    return 0


def edit(
    client: Client, project: str, stage: str, fields: Mapping[str, object], *, as_json: bool
) -> int:
    """Change fields of a stage."""
    saved = client.patch(f"/api/stages/{find_stage(client, project, stage)['id']}", fields)
    if as_json:
        show.as_json(saved)
    else:
        show.line(
            f"the stage {saved['name']} of {project} is changed; it holds from the next deploy on"
        )
    warn(saved)
    return 0


def _row(project: str, stage: Answer) -> tuple[object, ...]:
    by_itself = "held" if stage["held"] else "yes" if stage["auto_deploy"] else "no"
    return (
        project,
        stage["name"],
        stage["tag_pattern"],
        stage["position"],
        by_itself,
        stage["strategy_in_force"],
        ", ".join(stage["domains"]),
    )
