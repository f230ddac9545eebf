"""`tagboat deploy`, `rollback` and `promote`: what queues a deploy."""

from tagboat.cli import show
from tagboat.cli.client import Client
from tagboat.cli.follow import Ordered, finish
from tagboat.cli.names import find_stage, no_deploy
from tagboat.core.errors import NotFoundError


def deploy(
    client: Client, project: str, stage: str, tag: str, *, force: bool, wait: bool, as_json: bool
) -> int:
    """Queue a deploy of a tag."""
    found = find_stage(client, project, stage)
    queued = client.post(f"/api/stages/{found['id']}/deploys", {"tag": tag, "force": force})
    return finish(client, Ordered(project, found, queued), wait=wait, as_json=as_json)


def rollback(
    client: Client, project: str, stage: str, *, to: str | None, wait: bool, as_json: bool
) -> int:
    """Queue what was live before, or what the deploy `to` brought; the stage is held from then on."""
    found = find_stage(client, project, stage)
    try:
        queued = client.post(f"/api/stages/{found['id']}/rollback", {"to": to})
    except NotFoundError:
        if to is None:
            raise
        raise no_deploy(to) from None
    show.progress(
        f"{project} {stage} is held: pushes deploy nothing there until 'tagboat release {project} {stage}'"
    )
    return finish(client, Ordered(project, found, queued), wait=wait, as_json=as_json)


def promote(
    client: Client, project: str, source: str, target: str, *, wait: bool, as_json: bool
) -> int:
    """Queue in the stage `target` what is live in the stage `source`."""
    taken_from, found = find_stage(client, project, source), find_stage(client, project, target)
    queued = client.post(f"/api/stages/{found['id']}/promote", {"from": taken_from["id"]})
    return finish(client, Ordered(project, found, queued), wait=wait, as_json=as_json)
