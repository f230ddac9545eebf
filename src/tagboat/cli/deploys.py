"""`tagboat deploys`, and `show` and `logs` below it."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.fields import show_record
from tagboat.cli.follow import duration
from tagboat.cli.names import find_project, find_stage, of_deploy

_COLUMNS = ("deploy", "project", "stage", "tag", "by", "when", "status", "why")
_STEP_COLUMNS = ("step", "status", "took", "detail")


def deploys(
    client: Client,
    project: str | None,
    stage: str | None,
    *,
    status: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """List the newest deploys."""
    query: dict[str, object] = {"limit": limit}
    if project is not None and stage is not None:
        query["stage"] = find_stage(client, project, stage)["id"]
    elif project is not None:
        query["project"] = find_project(client, project)["id"]
    if status is not None:
        query["status"] = status
    items = client.get("/api/deploys", **query)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_COLUMNS, map(_row, items))
    else:
        show.line("There is no such deploy yet.")
    return 0


def show_deploy(client: Client, deploy: str, *, as_json: bool) -> int:
    """Show all of a deploy."""
    found = _find(client, deploy)
    if as_json:
        show.as_json(found)
        return 0
    show_record(found, without=("steps", "log"))
    show.line("")
    show.table(
        _STEP_COLUMNS,
        ((step["name"], step["status"], duration(step), step["detail"]) for step in found["steps"]),
    )
    if found["log"]:
        show.line(f"\nlog:\n{found['log'].rstrip()}")
    return 0


def deploy_logs(client: Client, deploy: str, *, as_json: bool) -> int:
    """Show what a deploy has kept of its app's log."""
    found = _find(client, deploy)
    if as_json:
        show.as_json({"lines": found["log"].splitlines()})
    elif found["log"]:
        show.line(found["log"].rstrip())
    else:
        where = f"{found['project']['name']} {found['stage']['name']}"
        show.progress(f"deploy {deploy} has kept no log; 'tagboat logs {where}' shows what runs")
    return 0


def _find(client: Client, deploy: str) -> Answer:
    return of_deploy(deploy, client.get)


def _row(deploy: Answer) -> tuple[object, ...]:
    why = deploy["reason"] if deploy["reason"] != deploy["status"] else None
    names = deploy["project"]["name"], deploy["stage"]["name"]
    return (
        deploy["id"],
        *names,
        deploy["tag"],
        deploy["trigger"],
        show.when(deploy["created_at"]),
        deploy["status"],
        why,
    )
