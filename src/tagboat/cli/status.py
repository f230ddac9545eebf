"""`tagboat status`."""

from collections.abc import Iterator
from itertools import chain

import typer

from tagboat.cli import disk_space, show
from tagboat.cli.client import ApiObject
from tagboat.cli.options import JsonOption, connect
from tagboat.cli.projects import NO_PROJECT_YET

# The others are in the health, in the lines of stages, or among the senders.
_NEEDS_TOLD_HERE = frozenset({"failed", "held", "waiting", "silent"})
_COLUMNS_OF_STAGES = (
    "project", "stage", "live", "digest", "address", "since", "rollback", "last deploy",
)  # fmt: skip


def status_command(*, as_json: JsonOption = False) -> None:
    """Show what is live where, and the server's health.

    For every stage: the tags that are live, their addresses, since when, and how the last deploy
    ended. If several instances may be live, each has a line. Exit code 1 unless the health is ok.
    """
    client = connect()
    health = client.health()
    # Without its database the server can answer nothing else.
    has_database = health["status"] != "unavailable"
    pages = list(client.pages("/api/overview")) if has_database else []
    disks = disk_space.list_disks(client) if has_database else []
    # Only the first page has the senders.
    senders = pages[0]["senders"] if pages else []
    stages = [
        ApiObject(row, project=row["project"]["name"]) for page in pages for row in page["items"]
    ]
    if as_json:
        more = {"disks": disks, "senders": senders}
        # Left out if empty, as programs of older releases expect neither.
        given = {name: value for name, value in more.items() if value}
        show.as_json({"health": health, "stages": stages} | given)
    else:
        checks = health["checks"].items()
        wrong = [f"{name}: {state}" for name, state in checks if state not in {"ok", "none"}]
        summary = "; ".join(wrong) or ", ".join(f"{name} {state}" for name, state in checks)
        show.line(f"Tagboat {health['version']}: {health['status']} ({summary})")
        if disks:
            show.line(f"disk: {', '.join(map(disk_space.describe_disk, disks))}")
        if stages:
            show.table(_COLUMNS_OF_STAGES, chain.from_iterable(map(_stage_rows, stages)))
        elif has_database:
            show.line(NO_PROJECT_YET)
        for sentence in chain.from_iterable(map(_remarks, stages)):
            show.line(sentence)
        needs = pages[0]["needs"] if pages else []
        for need in filter(lambda one: one["kind"] in _NEEDS_TOLD_HERE, needs):
            where = f"{need['project']['name']} {need['stage']['name']}" if need["stage"] else ""
            show.line(f"{where} {need['kind']}: {need['sentence']}".lstrip())
        for call in senders:
            show.line(f"the webhook's sender {call['sender']} needs attention: {call['reason']}")
    if health["status"] != "ok":
        raise typer.Exit(1)


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
        routed = [stage["address"] if number == 0 else None, *(one["address"] for one in shown)]
        # Without an ingress each instance has only its own address on the server's machine.
        addresses = list(filter(None, routed)) or [one["url"] for one in shown if one["url"]]
        yield (
            row["project"],
            _marked_name(stage),
            ", ".join(
                f"{instance['tag']} (!)" if instance.get("trouble") else instance["tag"]
                for instance in shown
            ),
            ", ".join(show.short_digest(instance["digest"]) for instance in shown),
            ", ".join(addresses),
            ", ".join(show.timestamp(instance["started_at"]) for instance in shown),
            (rollback if way["tag"] else "none") if number == 0 else "",
            last if number == 0 else "",
        )


def _remarks(row: ApiObject) -> Iterator[str]:
    """Yield a sentence for a stage that is stopped, and for each thing that needs a person."""
    where = f"{row['project']} {row['stage']['name']}"
    # An older server stops no stage.
    if since := row["stage"].get("stopped_at"):
        yield f"{where} is stopped since {show.timestamp(since)}, by {row['stage']['stopped_by']}"
    for sentence in row["needs_you"]:
        yield f"{where} needs attention: {sentence}"


def _marked_name(stage: ApiObject) -> str:
    # Nothing can be deployed to a stopped stage by a push either: of the two, it says more.
    if stage.get("stopped_at"):
        return f"{stage['name']} (stopped)"
    return f"{stage['name']} (held)" if stage["held"] else str(stage["name"])
