"""Composed answers, field by field: the overview, a stage's log, cancelled deploys."""

from datetime import datetime
from typing import Literal

from tagboat.api.bodies import ResponseModel
from tagboat.api.schemas import DeployOut, InstanceOut, RefOut, StageOut, WayBackOut
from tagboat.operations.queries.needs import NeedKind, NeedTarget


class WaitingPushOut(ResponseModel):
    """A push that waits for a person: its stage is held, it was taken back there, or is lower."""

    tag: str
    digest: str | None
    source: str
    seen_at: datetime


class StageOverviewOut(ResponseModel):
    """A stage as it is now.

    `live` comes newest first, `under_way` (queued and running deploys) and `waiting` oldest first.
    `last_deploy` is the newest of the stage, null before the first. `warnings` name what will not
    go as one might expect; `needs_you` has a sentence for each thing that needs a person. The `log`
    of deploys is empty here.
    """

    project: RefOut
    stage: StageOut
    live: list[InstanceOut]
    under_way: list[DeployOut]
    last_deploy: DeployOut | None
    waiting: list[WaitingPushOut]
    way_back: WayBackOut
    warnings: list[str]
    needs_you: list[str]


class TroubledSenderOut(ResponseModel):
    """The newest call of a webhook's sender that needs a person."""

    sender: str
    reason: str
    delivery: str
    received_at: datetime


class NeedOut(ResponseModel):
    """A thing that needs a person."""

    kind: NeedKind
    project: RefOut | None
    stage: RefOut | None
    sentence: str
    since: datetime | None
    todo: str
    target: NeedTarget
    target_id: str


class OverviewOut(ResponseModel):
    """A part of all stages. `next` is the cursor of the next part, null at the end.

    `senders` and `needs` are empty but in the first part.
    """

    items: list[StageOverviewOut]
    next: str | None
    senders: list[TroubledSenderOut]
    needs: list[NeedOut]


class StageLogOut(ResponseModel):
    """The last lines of a stage's log, oldest first: of an instance, or kept by a failed deploy.

    `instance` or `deploy` says whose they are, by `source`. The `log` of the deploy is empty here.
    """

    source: Literal["instance", "deploy"]
    instance: InstanceOut | None
    deploy: DeployOut | None
    lines: list[str]


class CancelledDeploysOut(ResponseModel):
    """The deploys that were cancelled, or are being taken back (`cancelling`)."""

    items: list[DeployOut]
