"""Deploys that make saved variables and secrets live: `--deploy` and `--wait`."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from msgspec import Struct

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.follow import QueuedDeploy, follow_deploy
from tagboat.core.errors import TagboatError

DeploySavedOption = Annotated[
    bool,
    typer.Option("--deploy", help="Deploy what is live again, with everything that is saved."),
]
WaitSavedOption = Annotated[
    bool,
    typer.Option("--wait", help="As --deploy, and follow it; exit 1 unless it succeeds."),
]


class Rollout(Struct, frozen=True):
    """The end of a command that has saved something: deploys, their progress, or JSON."""

    deploy: bool
    wait: bool
    as_json: bool

    @property
    def is_asked(self) -> bool:
        """True if there are deploys to queue."""
        return self.deploy or self.wait

    def finish(self, client: Client, stages: Sequence[ApiObject], saved: ApiObject) -> None:
        """Deploy each of the stages again where something saved is not live; print how that ends.

        In JSON that is `saved` with the list `deploys`. Raises TagboatError if a deploy cannot be
        queued, or is known not to have succeeded, after all others were queued and followed.
        """
        failures: list[str] = []
        # All are queued before one is followed: a command that is interrupted has left none out.
        queued = list(queue_deploys(client, stages, failures))
        ended = [one.deploy for one in queued]
        if self.as_json:
            if self.wait:
                ended = [follow_deploy(client, deploy["id"]) for deploy in ended]
            failures += [
                f"{deploy['tag']} did not become live in {one.project} {one.stage['name']}"
                for one, deploy in zip(queued, ended, strict=True)
                if self.wait and deploy["status"] != "succeeded"
            ]
            show.as_json({**saved, "deploys": ended})
        for one in () if self.as_json else queued:
            try:
                one.finish(client, wait=self.wait, as_json=False)
            except TagboatError as error:
                failures.append(str(error))
        if failures:
            raise TagboatError("it is saved, but not live everywhere: " + "; ".join(failures))


def queue_deploys(
    client: Client, stages: Sequence[ApiObject], failures: list[str]
) -> Iterator[QueuedDeploy]:
    """Yield a deploy for each live digest of the stages that need it; note what is refused."""
    for stage in stages:
        path = f"/api/stages/{stage['id']}"
        pending = client.get(f"{path}/pending")
        project = pending["project"]["name"]
        where = f"{project} {stage['name']}"
        if pending["deploy"] is None:
            show.progress(f"nothing is live in {where}: its next deploy gets what is saved")
        # A reason stands where nothing could be compared.
        elif not pending["count"] and not pending["reason"]:
            show.progress(f"all that is saved for {where} is live: nothing to deploy")
        else:
            try:
                answer = client.post(f"{path}/restart")
            except TagboatError as error:
                failures.append(str(error))
                continue
            for deploy_id in answer["deploys"]:
                yield QueuedDeploy(project, stage, client.get(f"/api/deploys/{deploy_id}"))
