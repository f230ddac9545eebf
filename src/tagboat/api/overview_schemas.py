"""Composed answers, field by field: the overview, a stage's log, cancelled deploys."""

from datetime import datetime
from typing import Literal

from tagboat.api.bodies import Answer
from tagboat.api.schemas import Deploy, Instance, Named, Stage, WayBack


class WaitingPush(Answer):
    """A push that waits for a person: its stage is held, it was taken back there, or is lower."""

    tag: str
    digest: str | None
    source: str
    seen_at: datetime


class StageOverviewOut(Answer):
    """A stage as it is now.

    `live` comes newest first, `under_way` (queued and running deploys) and `waiting` oldest first.
    `last_deploy` is the newest of the stage, null before the first. `warnings` name what will not
    go as one might expect; `needs_you` has a sentence for each thing that needs a person. The `log`
    of deploys is empty here.
    """

    project: Named
    stage: Stage
    live: list[Instance]
    under_way: list[Deploy]
    last_deploy: Deploy | None
    waiting: list[WaitingPush]
    way_back: WayBack
    warnings: list[str]
    needs_you: list[str]


class TroubledSender(Answer):
    """The newest call of a webhook's sender that needs a person."""

    sender: str
    reason: str
    delivery: str
    received_at: datetime


class OverviewOut(Answer):
    """A part of all stages. `next` is the cursor of the next part, null at the end.

    `senders` is empty but in the first part.
    """

    items: list[StageOverviewOut]
    next: str | None
    senders: list[TroubledSender]


class StageLogOut(Answer):
    """The last lines of a stage's log, oldest first: of an instance, or kept by a failed deploy.

    `instance` or `deploy` says whose they are, by `source`. The `log` of the deploy is empty here.
    """

    source: Literal["instance", "deploy"]
    instance: Instance | None
    deploy: Deploy | None
    lines: list[str]


class CancelledDeploys(Answer):
    """The deploys that were cancelled, or are being taken back (`cancelling`)."""

    items: list[Deploy]
