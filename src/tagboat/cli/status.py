"""`tagboat status`."""

from collections.abc import Iterator
from itertools import chain

import typer

from tagboat.cli import disk_space, show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.deliveries import senders_with_problems
from tagboat.cli.options import JsonOption, connect
from tagboat.cli.projects import NO_PROJECT_YET


def status_command(*, as_json: JsonOption = False) -> None:
    """Show what is live where, and the server's health.

    For every stage: the tags that are live, their addresses, since when, and how the last deploy
    ended. If several instances may be live, each has a line. Exit code 1 unless the health is ok.
    """
    client = connect()
    health = client.health()
    # Without its database the server can answer nothing else.
    has_database = health["status"] != "unavailable"
    stages = _stages_with_state(client) if has_database else []
    disks = disk_space.list_disks(client) if has_database else []
    senders = senders_with_problems(client) if has_database else []
    if as_json:
        more = {"disks": disks, "senders": senders}
        given = {name: value for name, value in more.items() if value}
        show.as_json({"health": health, "stages": stages} | given)
    else:
        checks = health["checks"].items()
        wrong = [f"{name}: {state}" for name, state in checks if state not in {"ok", "none"}]
        summary = "; ".join(wrong) or ", ".join(f"{name} {state}" for name, state in checks)
        show.line(f"Tagboat {health['version']}: {health['status']} ({summary})")
        if disks:
            show.line(f"disk: {', '.join(map(disk_space.describe_disk, disks))}")
        if has_database:
            _show_stages(stages)
        for call in senders:
            show.line(f"the webhook's sender {call['sender']} needs attention: {call['reason']}")
    if health["status"] != "ok":
        raise typer.Exit(1)


def has_trouble(instance: ApiObject) -> bool:
    """Return whether a live instance needs attention; servers of older releases do not say."""
    return bool(instance.get("trouble"))


def _stages_with_state(client: Client) -> list[ApiObject]:
    """Return every stage, in its order, with its live instances and its last deploy."""
    live = client.items("/api/instances", state="live")
    return [
        ApiObject(
            project=project["name"],
            stage=stage,
            live=[instance for instance in live if instance["stage"]["id"] == stage["id"]],
            last_deploy=next(
                iter(client.get("/api/deploys", stage=stage["id"], limit=1)["items"]), None
            ),
            way_back=client.get(f"/api/stages/{stage['id']}/rollback"),
        )
        for project in client.items("/api/projects")
        for stage in client.items(f"/api/projects/{project['id']}/stages")
    ]


def _show_stages(stages: list[ApiObject]) -> None:
    if not stages:
        show.line(NO_PROJECT_YET)
        return
    columns = ("project", "stage", "live", "digest", "address", "since", "rollback", "last deploy")
    show.table(columns, chain.from_iterable(map(_stage_rows, stages)))
    for row in stages:
        for instance in filter(has_trouble, row["live"]):
            where = f"{row['project']} {row['stage']['name']}"
            show.line(f"{where} {instance['tag']} needs attention: {instance['trouble']}")


def _stage_rows(row: ApiObject) -> Iterator[tuple[object, ...]]:
    """Yield one row for a stage, or one for each instance if several may be live."""
    stage, live, way, deploy = row["stage"], row["live"], row["way_back"], row["last_deploy"]
    rollback = way["tag"] if way["possible"] else f"none: {way['tag']} is gone"
    last = f"{deploy['tag']} {deploy['status']}" if deploy else ""
    # The reason of a success repeats its status.
    if (
        deploy
        and deploy["status"] != "succeeded"
        and deploy["reason"] not in {None, "", deploy["status"]}
    ):
        last = f"{last}: {deploy['reason']}"
    several = stage["max_instances"] > 1 and live
    for number, shown in enumerate([[instance] for instance in live] if several else [live]):
        yield (
            row["project"],
            f"{stage['name']} (held)" if stage["held"] else stage["name"],
            ", ".join(
                f"{instance['tag']} (!)" if has_trouble(instance) else instance["tag"]
                for instance in shown
            ),
            ", ".join(show.short_digest(instance["digest"]) for instance in shown),
            ", ".join(_addresses(stage if number == 0 else None, shown)),
            ", ".join(show.timestamp(instance["started_at"]) for instance in shown),
            (rollback if way["tag"] else "none") if number == 0 else "",
            last if number == 0 else "",
        )


def _addresses(stage: ApiObject | None, live: list[ApiObject]) -> list[str]:
    """Return the addresses through the ingress, or each instance's own if there are none."""
    routed = [stage["address"] if stage else None, *(instance["address"] for instance in live)]
    return list(filter(None, routed)) or [instance["url"] for instance in live if instance["url"]]
