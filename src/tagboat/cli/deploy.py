"""`tagboat deploy` and `tagboat logs`."""

import time
from typing import Any

from tagboat.cli import show
from tagboat.cli.client import Client
from tagboat.cli.names import find_stage

_LOOK_EVERY_S = 0.25
_OPEN = ("queued", "running")


def deploy(client: Client, project: str, stage: str, tag: str, *, force: bool, wait: bool, as_json: bool) -> int:
    """Queue a deploy and, if asked, follow it to its end."""
    found = find_stage(client, project, stage)
    queued = client.post(f"/api/stages/{found['id']}/deploys", {"tag": tag, "force": force})
    if wait:
        queued = _follow(client, queued["id"])
    if as_json:
        show.as_json(queued)
    elif not wait:
        show.line(f"deploy {queued['id']} of {tag} is {queued['status']}; 'tagboat status' shows how it goes")
    else:
        _tell(client, queued)
    return 0 if queued["status"] in ("succeeded", *(() if wait else _OPEN)) else 1


def logs(client: Client, project: str, stage: str, *, tail: int, as_json: bool) -> int:
    """Show the last lines of the live instance, or what the last failed deploy kept."""
    found = find_stage(client, project, stage)
    instances = client.items("/api/instances", stage=found["id"])
    active = [item for item in instances if item["state"] in ("live", "starting", "draining")]
    active.sort(key=lambda item: item["state"] != "live")
    if active:
        lines = client.get(f"/api/instances/{active[0]['id']}/logs", tail=tail)["lines"]
    else:
        failed = client.get("/api/deploys", stage=found["id"], status="failed", limit=1)["items"]
        lines = failed[0]["log"].splitlines()[-tail:] if failed else []
        show.progress(
            f"nothing runs in {project} {stage}; " + ("its last failed deploy said:" if failed else "no log is kept")
        )
    if as_json:
        show.as_json({"lines": lines})
    else:
        for text in lines:
            show.line(text)
    return 0


def _follow(client: Client, deploy_id: str) -> dict[str, Any]:
    """Look again and again until the deploy ends, telling each step once."""
    told: set[str] = set()
    while True:
        seen: dict[str, Any] = client.get(f"/api/deploys/{deploy_id}")
        for step in seen["steps"]:
            if step["status"] in ("done", "failed") and step["name"] not in told:
                told.add(step["name"])
                show.progress(f"{step['name']:8} {step['status']:7} {step['detail']}")
        if seen["status"] not in _OPEN:
            return seen
        time.sleep(_LOOK_EVERY_S)


def _tell(client: Client, ended: dict[str, Any]) -> None:
    if ended["status"] != "succeeded":
        for text in ended["log"].splitlines():
            show.progress(f"| {text}")
        show.progress(f"tagboat: the deploy of {ended['tag']} {ended['status']}: {ended['reason']}")
        return
    instances = client.items("/api/instances", stage=ended["stage"]["id"])
    urls = [item["url"] for item in instances if item["state"] == "live" and item["tag"] == ended["tag"] and item["url"]]
    show.line(f"{ended['tag']}: {ended['reason']}" + (f" at {urls[0]}" if urls else ""))
