"""The bodies of orders about the whole of a stage, and of their answers."""

from typing import Annotated

from pydantic import Field

from tagboat.api import run_values, values
from tagboat.api.bodies import RequestModel
from tagboat.api.schemas import DeployOut, StageOut
from tagboat.operations.one_offs import LIMIT_S


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


class CommandOrder(RequestModel):
    """An order to run a command once."""

    command: Annotated[run_values.CommandWords, Field(min_length=1)]
    timeout_s: run_values.ReleaseTimeoutS = LIMIT_S
