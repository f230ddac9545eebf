"""What comes after a deploy is queued: following it to its end, through a restart of the server, and telling how it went."""

import time
from dataclasses import dataclass
from datetime import datetime

from tagboat.cli import show
from tagboat.cli.client import Answer, Client, ServerAwayError, TokenRefusedError
from tagboat.core.errors import TagboatError

PATIENCE_S = 60.0
"""How long a server may be away, which is being restarted or updated."""

_LOOK_EVERY_S = 0.25
_OPEN = frozenset({"queued", "running"})
_LOST = frozenset({"failed", "superseded", "cancelled"})


@dataclass(frozen=True, slots=True)
class Ordered:
    """A deploy just queued, to the stage of that project; `stage` is what the API shows of it."""

    project: str
    stage: Answer
    deploy: Answer

    @property
    def where(self) -> str:
        """The stage as people name it."""
        return f"{self.project} {self.stage['name']}"


def finish(client: Client, ordered: Ordered, *, wait: bool, as_json: bool) -> int:
    """Follow the deploy to its end, if asked, and tell how it is; 0, or TagboatError if it is known not to have succeeded."""
    seen = ordered.deploy
    if wait:
        show.progress(f"deploy {seen['id']}: {seen['tag']} to {ordered.where}")
        try:
            seen = _follow(client, seen["id"])
        except KeyboardInterrupt:
            show.progress(
                f"\ndeploy {seen['id']} goes on; 'tagboat cancel {seen['id']}' takes it back"
            )
            raise
    if as_json:
        show.as_json(seen)
    elif not wait:
        follows = f"'tagboat deploys show {seen['id']}' follows it, and --wait stays"
        show.line(f"deploy {seen['id']} of {seen['tag']} is {seen['status']}; {follows}")
    elif seen["status"] == "succeeded":
        _tell_success(client, ordered.stage, seen)
    if seen["status"] not in _LOST:
        return 0
    for text in seen["log"].splitlines():
        show.progress(f"| {text}")
    raise TagboatError(f"the deploy of {seen['tag']} to {ordered.where} {_ending(seen)}")


def _follow(client: Client, deploy_id: str) -> Answer:
    """Look again and again until the deploy ends, telling each step once."""
    told: set[str] = set()
    while True:
        try:
            seen = _look(client, f"/api/deploys/{deploy_id}")
        except TagboatError as error:
            raise TagboatError(
                f"lost sight of deploy {deploy_id}, which may go on: {error}"
            ) from None
        for step in seen["steps"]:
            if step["status"] in {"done", "failed"} and step["name"] not in told:
                told.add(step["name"])
                show.progress(
                    f"{step['name']:8}{step['status']:7}{duration(step):>8}  {step['detail']}".rstrip()
                )
        if seen["status"] not in _OPEN:
            return seen
        time.sleep(_LOOK_EVERY_S)


def _look(client: Client, path: str) -> Answer:
    """GET `path`. A server that is away is waited for; one that has started anew has another address or token."""
    until = None
    while True:
        try:
            if until is not None:
                client.find_again()
            seen = client.get(path)
        except (ServerAwayError, TokenRefusedError) as error:
            if isinstance(error, TokenRefusedError) and not client.find_again():
                raise
            now = time.monotonic()
            if until is None:
                until = now + PATIENCE_S
                show.progress(f"the server is away; looking for it for up to {PATIENCE_S:.0f} s")
            elif now > until:
                raise
            time.sleep(_LOOK_EVERY_S)
        else:
            if until is not None:
                show.progress("the server is back")
            return seen


def duration(step: Answer) -> str:
    """How long a step took, in seconds with their unit; empty before it has ended."""
    if not (step["started_at"] and step["finished_at"]):
        return ""
    took = datetime.fromisoformat(step["finished_at"]) - datetime.fromisoformat(step["started_at"])
    return f"{took.total_seconds():.1f} s"


def _tell_success(client: Client, stage: Answer, ended: Answer) -> None:
    try:
        live = [
            one
            for one in client.items("/api/instances", stage=stage["id"], state="live")
            if one["tag"] == ended["tag"]
        ]
    except ServerAwayError:
        live = []  # it went away again; that the deploy has succeeded is known all the same
    urls = [*(one["address"] for one in live), stage["address"], *(one["url"] for one in live)]
    url = next(filter(None, urls), None)
    show.line(
        f"{ended['tag']}: {ended['reason'] or ended['status']}" + (f" at {url}" if url else "")
    )


def _ending(ended: Answer) -> str:
    how = ended["status"] if ended["status"] == "failed" else f"was {ended['status']}"
    return (
        f"{how}: {ended['reason']}" if ended["reason"] not in {None, "", ended["status"]} else how
    )
