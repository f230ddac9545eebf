"""`tagboat restart`, `stop` and `start`: orders about the whole of a stage."""

import time
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.follow import POLL_EVERY_S, QueuedDeploy, follow_deploy
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, NoteOption, ProjectArg, StageArg, WaitOption, connect
from tagboat.core.errors import TagboatError

_WITH_CONTAINERS = ("starting", "live", "draining")


def restart_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    wait: WaitOption = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start what is live in a stage again, with the saved settings.

    The same digest is deployed again, and so saved settings become live. The old instance serves
    until the new one is healthy, unless the strategy is recreate. The release command does not run
    again; 'tagboat deploy --force' runs it.

    Example: tagboat restart shop prod --wait
    """
    client = connect()
    found = find_stage(client, project, stage)
    answer = client.post(f"/api/stages/{found['id']}/restart", {"note": note} if note else None)
    _finish(client, project, found, answer, wait=wait, as_json=as_json)


def stop_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until its instances have ended.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take the traffic of a stage away, and end its instances.

    They end once they have answered what they were asked. It stays stopped, also after a restart
    of the machine, until 'tagboat start' or a deploy by hand. Requests get 503, pushes wait, and
    volumes stay.

    Example: tagboat stop shop staging --wait
    """
    client = connect()
    found = find_stage(client, project, stage)
    answer = client.post(f"/api/stages/{found['id']}/stop")
    if wait:
        try:
            _until_ended(client, f"{project} {stage}", found["id"])
        except KeyboardInterrupt:
            show.progress(f"\n{project} {stage} goes on stopping; 'tagboat start' starts it again")
            raise
    if as_json:
        show.as_json(answer)
        return
    show.line(
        f"{project} {stage} is stopped since {show.timestamp(answer['stopped_at'])}, by"
        f" {answer['stopped_by']}; 'tagboat start {project} {stage}' starts it"
    )


def start_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    wait: WaitOption = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start a stopped stage with what was live before.

    That is deployed again, with the saved settings. Pushes that came while it was stopped wait:
    'tagboat release' deploys the newest.

    Example: tagboat start shop staging --wait
    """
    client = connect()
    found = find_stage(client, project, stage)
    answer = client.post(f"/api/stages/{found['id']}/start", {"note": note} if note else None)
    if answer["deploys"]:
        _finish(client, project, found, answer, wait=wait, as_json=as_json)
    elif as_json:
        show.as_json(answer)
    else:
        show.line(f"{project} {stage}: {answer['reason']}")


def _finish(
    client: Client,
    project: str,
    stage: ApiObject,
    answer: ApiObject,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Print the deploys that were queued, or follow each to its end.

    In JSON, several that were followed are a list. Raises TagboatError if one did not succeed.
    """
    if as_json and not wait:
        show.as_json(answer)
        return
    deploys = [client.get(f"/api/deploys/{deploy_id}") for deploy_id in answer["deploys"]]
    if len(deploys) == 1 or not as_json:
        for deploy in deploys:
            QueuedDeploy(project, stage, deploy).finish(client, wait=wait, as_json=as_json)
        return
    ended = [follow_deploy(client, deploy["id"]) for deploy in deploys]
    show.as_json(ended)
    if lost := [deploy["tag"] for deploy in ended if deploy["status"] != "succeeded"]:
        raise TagboatError(f"{', '.join(lost)} did not become live in {project} {stage['name']}")


def _until_ended(client: Client, where: str, stage_id: str) -> None:
    """Return once no instance of the stage has a container any more.

    Raises TagboatError if somebody has started the stage by then.
    """
    # Its instances say more than the stage, which is stopped from the order on.
    said = ""
    while True:
        left = [
            one
            for state in _WITH_CONTAINERS
            for one in client.items("/api/instances", stage=stage_id, state=state)
        ]
        if not left:
            return
        if any(one["state"] == "live" for one in left):
            raise TagboatError(f"{where} was started again before all of its instances had ended")
        words = ", ".join(f"{one['tag']} is {one['state']}" for one in left)
        if words != said:
            show.progress(words)
            said = words
        time.sleep(POLL_EVERY_S)
