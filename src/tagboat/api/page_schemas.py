"""The bodies that pages are made of: histories, comparisons, previews, and who was heard."""

from datetime import datetime

from tagboat.api.bodies import ResponseModel
from tagboat.api.schemas import RefOut
from tagboat.core.changes import ChangeKind
from tagboat.core.deploy import Trigger
from tagboat.core.ending import EndingKind


class LivePeriodOut(ResponseModel):
    """The time in which the instance of a deploy was the live one of its stage."""

    deploy: str
    instance: str
    tag: str
    digest: str
    trigger: Trigger
    note: str
    live_from: datetime
    live_until: datetime | None
    ending: EndingKind
    reason: str
    ended_by: str | None
    requests_lost: int | None
    rollback_possible: bool
    rollback_reason: str
    warning: str


class SideOut(ResponseModel):
    """One side of a comparison."""

    tag: str
    digest: str | None
    deploy: str | None
    size: int | None


class CommitsOut(ResponseModel):
    """The commits of two images, by the labels of their builds."""

    before: str | None
    after: str | None
    source: str | None
    compare_url: str | None


class KeyChangesOut(ResponseModel):
    """Names of environment variables that differ."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class FieldChangeOut(ResponseModel):
    """A field that differs; values of secrets are masked."""

    field: str
    change: ChangeKind
    before: str | None
    after: str | None


class ComparisonOut(ResponseModel):
    """The difference between what is live in a stage and what a deploy brings there."""

    project: RefOut
    stage: RefOut
    before: SideOut | None
    after: SideOut
    commits: CommitsOut
    env: KeyChangesOut
    config: list[FieldChangeOut]
    image: list[FieldChangeOut]
    release_command: bool
    changes_nothing: bool
    unknown: str


class PendingOut(ResponseModel):
    """The changes of a stage that are saved and not live."""

    project: RefOut
    stage: RefOut
    deploy: str | None
    tag: str | None
    count: int
    changes: list[FieldChangeOut]
    reason: str


class HeardCallOut(ResponseModel):
    """The last call of a sender."""

    sender: str
    host: str | None
    at: datetime
    delivery: str


class HeardRegistryOut(ResponseModel):
    """A registry, and the last call about its images."""

    host: str
    registry: RefOut | None
    last: HeardCallOut | None
    silent: str | None


class HeardOut(ResponseModel):
    """The senders and registries with their last calls."""

    senders: list[HeardCallOut]
    registries: list[HeardRegistryOut]
