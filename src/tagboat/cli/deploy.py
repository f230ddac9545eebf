"""`tagboat deploy`."""

import time
from datetime import datetime

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.names import find_stage
from tagboat.core.errors import TagboatError

_LOOK_EVERY_S = 0.25
_OPEN = frozenset({"queued", "running"})
_LOST = frozenset({"failed", "superseded", "cancelled"})


def deploy(client: Client, project: str, stage: str, tag: str, *, force: bool, wait: bool, as_json: bool) -> int:
    """Queue a deploy and, if asked, follow it to its end; 1 if it is known not to have succeeded."""
    found = find_stage(client, project, stage)
    seen = client.post(f"/api/stages/{found['id']}/deploys", {"tag": tag, "force": force})
    if wait:
        show.progress(f"deploy {seen['id']}: {seen['tag']} to {project} {stage}")
        seen = _follow(client, seen["id"])
    if as_json:
        show.as_json(seen)
    elif not wait:
        show.line(f"deploy {seen['id']} of {seen['tag']} is {seen['status']}; 'tagboat status' shows how it goes")
    elif seen["status"] == "succeeded":
        _tell_success(client, found, seen)
    if seen["status"] not in _LOST:
        return 0
    for text in seen["log"].splitlines():
        show.progress(f"| {text}")
    raise TagboatError(f"the deploy of {seen['tag']} to {project} {stage} {_ending(seen)}")


def _follow(client: Client, deploy_id: str) -> Answer:
    """Look again and again until the deploy ends, telling each step once."""
    told: set[str] = set()
    while True:
        try:
            seen = client.get(f"/api/deploys/{deploy_id}")
        except TagboatError as error:
            raise TagboatError(f"lost sight of deploy {deploy_id}, which may go on: {error}") from None
        for step in seen["steps"]:
            if step["status"] in {"done", "failed"} and step["name"] not in told:
                told.add(step["name"])
                show.progress(f"{step['name']:8}{step['status']:7}{_duration(step):>8}  {step['detail']}".rstrip())
        if seen["status"] not in _OPEN:
            return seen
        time.sleep(_LOOK_EVERY_S)


def _duration(step: Answer) -> str:
    if not (step["started_at"] and step["finished_at"]):
        return ""
    took = datetime.fromisoformat(step["finished_at"]) - datetime.fromisoformat(step["started_at"])
    return f"{took.total_seconds():.1f} s"


def _tell_success(client: Client, stage: Answer, ended: Answer) -> None:
    live = client.items("/api/instances", stage=stage["id"], state="live")
    urls = [stage["address"], *(instance["url"] for instance in live if instance["tag"] == ended["tag"])]
    url = next(filter(None, urls), None)
    show.line(f"{ended['tag']}: {ended['reason'] or ended['status']}" + (f" at {url}" if url else ""))


def _ending(ended: Answer) -> str:
    how = ended["status"] if ended["status"] == "failed" else f"was {ended['status']}"
    return f"{how}: {ended['reason']}" if ended["reason"] else how
