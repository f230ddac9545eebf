"""`tagboat status` and `tagboat projects`."""

from typing import Any

from tagboat.cli import show
from tagboat.cli.client import Client


def projects(client: Client, *, as_json: bool) -> int:
    """List the projects with what is live of each."""
    items = client.items("/api/projects")
    if as_json:
        show.as_json(items)
        return 0
    if not items:
        show.line("There is no project yet: push an image and call the webhook (tagboat webhook url).")
        return 0
    live = _live(client)
    show.table(
        ("project", "image", "port", "stages", "live", "last poll"),
        (
            (
                item["name"],
                item["image"],
                item["port"],
                ", ".join(stage["name"] for stage in client.items(f"/api/projects/{item['id']}/stages")),
                ", ".join(instance["tag"] for instance in live if instance["project"]["id"] == item["id"]),
                item["poll"]["error"] or item["poll"]["last_at"],
            )
            for item in items
        ),
    )
    return 0


def status(client: Client, *, as_json: bool) -> int:
    """Show the server's health, what is live in every stage, and how the last deploy went."""
    health = client.get("/api/health")
    stages = [row for project in client.items("/api/projects") for row in _stages(client, project)]
    if as_json:
        show.as_json({"health": health, "stages": stages})
        return 0 if health["status"] == "ok" else 1
    checks = ", ".join(f"{name} {state}" for name, state in health["checks"].items())
    show.line(f"Tagboat {health['version']}: {health['status']} ({checks})")
    if stages:
        show.table(("project", "stage", "pattern", "live", "digest", "address", "last deploy"), map(_row, stages))
    return 0 if health["status"] == "ok" else 1


def _stages(client: Client, project: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for stage in client.items(f"/api/projects/{project['id']}/stages"):
        last = client.get("/api/deploys", stage=stage["id"], limit=1)["items"]
        live = [instance for instance in client.items("/api/instances", stage=stage["id"]) if instance["state"] == "live"]
        rows.append({"project": project["name"], "stage": stage, "live": live, "last_deploy": last[0] if last else None})
    return rows


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    live, last = row["live"], row["last_deploy"]
    return (
        row["project"],
        row["stage"]["name"],
        row["stage"]["tag_pattern"],
        ", ".join(instance["tag"] for instance in live),
        ", ".join(show.short(instance["digest"]) for instance in live),
        row["stage"]["address"] or ", ".join(instance["url"] or "" for instance in live),
        f"{last['tag']} {last['status']}" + (f": {last['reason']}" if last["status"] == "failed" else "") if last else "",
    )


def _live(client: Client) -> list[dict[str, Any]]:
    return [instance for instance in client.items("/api/instances") if instance["state"] == "live"]
