"""`tagboat status`."""

from collections.abc import Iterator
from itertools import chain

from tagboat.cli import room, show
from tagboat.cli.client import Answer, Client
from tagboat.cli.deliveries import needing_you
from tagboat.cli.projects import NONE_YET

_COLUMNS = ("project", "stage", "live", "digest", "address", "since", "way back", "last deploy")


def status(client: Client, *, as_json: bool) -> int:
    """Show the server's health, what is live in every stage, and how the last deploy went; 1 unless the health is `ok`."""
    health = client.health()
    code = 0 if health["status"] == "ok" else 1
    has_database = health["status"] != "unavailable"
    stages = _stages(client) if has_database else []
    disks = room.disks(client) if has_database else []
    senders = needing_you(client) if has_database else []
    if as_json:
        also = {"disks": disks, "senders": senders}
        show.as_json(
            {"health": health, "stages": stages}
            | {name: value for name, value in also.items() if value}
        )
        return code
    show.line(f"Tagboat {health['version']}: {health['status']} ({_checks(health)})")
    if disks:
        show.line(f"disk: {', '.join(map(room.told, disks))}")
    if stages:
        show.table(_COLUMNS, chain.from_iterable(map(_rows, stages)))
        for row in stages:
            for instance in filter(troubled, row["live"]):
                show.line(
                    f"{row['project']} {row['stage']['name']} {instance['tag']} needs you: {instance['trouble']}"
                )
    elif has_database:
        show.line(NONE_YET)
    for call in senders:
        show.line(f"the webhook's sender {call['sender']} needs you: {call['reason']}")
    return code


def _checks(health: Answer) -> str:
    """What is out and why; where all is well, what was looked at."""
    wrong = [
        f"{name}: {state}"
        for name, state in health["checks"].items()
        if state not in {"ok", "none"}
    ]
    return "; ".join(wrong) or ", ".join(
        f"{name} {state}" for name, state in health["checks"].items()
    )


def _stages(client: Client) -> list[Answer]:
    """Every stage, in its order, with its live instances and its last deploy."""
    live = client.items("/api/instances", state="live")
    return [
        Answer(
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


def _rows(row: Answer) -> Iterator[tuple[object, ...]]:
    """One for a stage; where several instances may be side by side, one for each, the newest first."""
    stage, live = row["stage"], row["live"]
    name = f"{stage['name']} (held)" if stage["held"] else stage["name"]
    several = stage["max_instances"] > 1 and live
    for number, shown in enumerate([[instance] for instance in live] if several else [live]):
        yield (
            row["project"],
            name,
            ", ".join(
                f"{instance['tag']} (!)" if troubled(instance) else instance["tag"]
                for instance in shown
            ),
            ", ".join(show.short(instance["digest"]) for instance in shown),
            ", ".join(_addresses(stage if number == 0 else None, shown)),
            ", ".join(show.when(instance["started_at"]) for instance in shown),
            _way_back(row["way_back"]) if number == 0 else "",
            _told(row["last_deploy"]) if number == 0 else "",
        )


def troubled(instance: Answer) -> bool:
    """Whether a live instance needs a person; servers of older releases do not say."""
    return bool(instance.get("trouble"))


def _addresses(stage: Answer | None, live: list[Answer]) -> list[str]:
    """Those through the ingress, where there are any; else every instance's own."""
    led = [stage["address"] if stage else None, *(instance["address"] for instance in live)]
    return list(filter(None, led)) or [instance["url"] for instance in live if instance["url"]]


def _way_back(way: Answer) -> str:
    if way["tag"] is None:
        return "none"
    return str(way["tag"]) if way["possible"] else f"none: {way['tag']} is gone"


def _told(deploy: Answer | None) -> str:
    if deploy is None:
        return ""
    told = f"{deploy['tag']} {deploy['status']}"
    why = deploy["reason"] if deploy["status"] != "succeeded" else None
    return f"{told}: {why}" if why not in {None, "", deploy["status"]} else told
