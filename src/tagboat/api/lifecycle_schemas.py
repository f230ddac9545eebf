"""The bodies of orders about the whole of a stage, and of their answers."""

from tagboat.api import values
from tagboat.api.bodies import RequestModel
from tagboat.api.schemas import DeployOut, StageOut


class LifecycleOrder(RequestModel):
    """An order to restart or start a stage."""

    note: values.NoteText = ""


class RestartedDeployOut(DeployOut):
    """The deploy that restarts the newest live instance, and the ids of all that were queued."""

    deploys: list[str]


class StartedStageOut(StageOut):
    """A stage that was ordered to start."""

    deploys: list[str]
    reason: str
