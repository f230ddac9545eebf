"""`tagboat logs`."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.names import find_stage
from tagboat.core.errors import TagboatError

_STATES = ("live", "starting", "draining")
"""Of instances that have a container to ask, in the order in which they are of interest."""


def logs(client: Client, project: str, stage: str, *, tail: int, as_json: bool) -> int:
    """Show the last lines of the live instance, else of any that runs, else what the last failed deploy kept."""
    found = find_stage(client, project, stage)
    instance = _running(client, found)
    if instance is not None:
        lines = client.get(f"/api/instances/{instance['id']}/logs", tail=tail)["lines"]
    else:
        lines = _kept(client, found, f"{project} {stage}")[-tail:]
    if as_json:
        show.as_json({"lines": lines})
    elif lines:
        show.line("\n".join(lines))
    return 0


def _running(client: Client, stage: Answer) -> Answer | None:
    for state in _STATES:
        if newest := client.get("/api/instances", stage=stage["id"], state=state, limit=1)["items"]:
            return Answer(newest[0])
    return None


def _kept(client: Client, stage: Answer, where: str) -> list[str]:
    failed = client.get("/api/deploys", stage=stage["id"], status="failed", limit=1)["items"]
    if not failed:
        raise TagboatError(
            f"nothing runs in {where}, and no failed deploy has left a log; deploy with 'tagboat deploy {where} TAG'"
        )
    last = failed[0]
    show.progress(
        f"nothing runs in {where}; deploy {last['id']} of {last['tag']} failed ({last['reason']}) and left:"
    )
    return [str(text) for text in last["log"].splitlines()]
