"""`tagboat cancel`, `hold` and `release`."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.names import find_stage, of_deploy
from tagboat.core.errors import TagboatError


def cancel(client: Client, deploy: str, *, as_json: bool) -> int:
    """Cancel the deploy of that id."""
    answer = of_deploy(deploy, lambda path: client.post(f"{path}/cancel"))
    if as_json:
        show.as_json(answer)
    else:
        _tell_cancelled(answer)
    return 0


def cancel_all(client: Client, project: str, stage: str, *, as_json: bool) -> int:
    """Cancel what is queued or running in a stage; first what is queued, so that none begins as another ends."""
    found = find_stage(client, project, stage)
    waiting = [
        item
        for status in ("queued", "running")
        for item in client.items("/api/deploys", stage=found["id"], status=status)
    ]
    if not waiting:
        raise TagboatError(f"nothing is queued or running in {project} {stage}")
    answers = [client.post(f"/api/deploys/{item['id']}/cancel") for item in waiting]
    if as_json:
        show.as_json(answers)
    for answer in () if as_json else answers:
        _tell_cancelled(answer)
    return 0


def _tell_cancelled(deploy: Answer) -> None:
    where = f"{deploy['project']['name']} {deploy['stage']['name']}"
    if deploy["status"] == "cancelled":
        show.line(f"deploy {deploy['id']} of {deploy['tag']} to {where} is cancelled")
    else:
        show.line(
            f"deploy {deploy['id']} of {deploy['tag']} to {where} is being taken back; what was live stays"
        )


def hold(client: Client, project: str, stage: str, *, as_json: bool) -> int:
    """Let pushes and polls deploy nothing in a stage."""
    answer = client.post(f"/api/stages/{find_stage(client, project, stage)['id']}/hold")
    if as_json:
        show.as_json(answer)
    else:
        show.line(
            f"{project} {stage} is held: pushes deploy nothing there until 'tagboat release {project} {stage}'"
        )
    return 0


def release(client: Client, project: str, stage: str, *, including: bool, as_json: bool) -> int:
    """Let them deploy again, beginning with the newest that came meanwhile."""
    answer = client.post(
        f"/api/stages/{find_stage(client, project, stage)['id']}/release", {"including": including}
    )
    if as_json:
        show.as_json(answer)
        return 0
    queued = answer["deploys"]
    what = (
        f"queued for what came meanwhile: deploy {', '.join(queued)}"
        if queued
        else "nothing came meanwhile to be deployed"
    )
    show.line(f"{project} {stage} is released; {what}")
    return 0
