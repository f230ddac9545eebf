"""The bodies of requests and responses. `field_docs` describes the fields for OpenAPI."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, Literal

from pydantic import Field

from tagboat.api import run_values, values
from tagboat.api.bodies import RequestModel, ResponseModel, unset
from tagboat.api.receipt_schemas import DeployReceiptOut
from tagboat.api.run_schemas import RunModel, RunOut
from tagboat.core.catalog import DRAIN_TIMEOUT_S, HEALTH_TIMEOUT_S, WATCH_S, Strategy
from tagboat.core.deploy import DeployStatus, InstanceState, StepName, StepStatus, Trigger
from tagboat.core.health import REQUEST_TIMEOUT_S
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import Outcome
from tagboat.core.run import EngineKind

MOST_FIRST_STAGES = 20
"""Stages that can be made in one call with their project."""


class PageOut(ResponseModel, Generic[values.Item]):
    """A part of a list."""

    items: list[values.Item]
    next: str | None


class FieldProblem(ResponseModel):
    """One value that cannot be used."""

    field: str
    message: str


class Problem(ResponseModel):
    """An error after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = Field(default_factory=lambda: None)


class RefOut(ResponseModel):
    """The id and name of a project or stage."""

    id: str
    name: str


class HealthOut(ResponseModel):
    """The state of the server: `degraded` where anything except its database fails.

    A check is `ok` or says why not; the ingress is `none` where none is configured.
    """

    status: Literal["ok", "degraded", "unavailable"]
    version: str
    checks: dict[str, str]


class ProjectUpdate(RunModel):
    """Changes to a project. A new `image` makes its tags unknown again.

    With `port_set`, `healthcheck_set` or `protocol_set` false, the image decides again, from the
    next deploy on; true keeps the present value.
    """

    name: values.ObjectName = unset()
    image: values.ImageText = unset()
    port: values.PortNumber = unset()
    port_set: bool = unset()
    healthcheck: values.HealthcheckText = unset()
    healthcheck_set: bool = unset()
    protocol_set: bool = unset()
    protocol: run_values.ProjectProtocol = unset()
    # Null is a value: the registry is found by the image's host then.
    registry: values.RegistryReference | None = None


class PollOut(ResponseModel):
    """The state of a project's polls."""

    last_at: datetime | None
    next_at: datetime | None
    error: str | None


class ProjectOut(RunOut):
    """One image that is deployed.

    `port`, `healthcheck` and `protocol` follow the newest image unless a person has set them.
    """

    id: str
    name: str
    image: str
    port: int
    port_set: bool
    healthcheck: str
    healthcheck_set: bool
    protocol_set: bool
    protocol: AppProtocol
    env: Mapping[str, str]
    registry: str | None
    poll: PollOut
    created_at: datetime


class StageCreate(RunModel):
    """A new stage."""

    name: values.ObjectName
    tag_pattern: values.PatternText
    position: values.PositionNumber = 0
    auto_deploy: bool = True
    allow_downgrade: bool = False
    max_instances: values.MaxInstances = 1
    engine: run_values.StageEngine | None = None
    replicas: run_values.Replicas = 1
    constraints: run_values.Constraints = Field(default_factory=list)
    domains: values.DomainNames = Field(default_factory=list)
    # Null lets Tagboat choose by what the app keeps and which ports it publishes.
    strategy: run_values.StageStrategy | None = None
    health_timeout_s: values.HealthTimeoutS = HEALTH_TIMEOUT_S
    healthcheck_host: values.HealthcheckHost = ""
    healthcheck_request_timeout_s: values.RequestTimeout = REQUEST_TIMEOUT_S
    watch_s: run_values.WatchSeconds = WATCH_S
    drain_timeout_s: values.DrainTimeoutS = DRAIN_TIMEOUT_S
    ttl_h: run_values.TimeToLive | None = None
    held: bool = False


class ProjectCreate(RunModel):
    """A new project. Without `port` or `healthcheck`, the newest image decides.

    `stages` are created with it, in one transaction.
    """

    name: values.ObjectName
    image: values.ImageText
    port: values.PortNumber = unset()
    healthcheck: values.HealthcheckText = unset()
    protocol: run_values.ProjectProtocol = unset()
    registry: values.RegistryReference | None = None
    stages: Annotated[list[StageCreate], Field(max_length=MOST_FIRST_STAGES)] = Field(
        default_factory=list
    )


class StageUpdate(RunModel):
    """Changes to a stage."""

    name: values.ObjectName = unset()
    tag_pattern: values.PatternText = unset()
    position: values.PositionNumber = unset()
    auto_deploy: bool = unset()
    allow_downgrade: bool = unset()
    max_instances: values.MaxInstances = unset()
    engine: run_values.StageEngine | None = None
    replicas: run_values.Replicas = unset()
    constraints: run_values.Constraints = unset()
    domains: values.DomainNames = unset()
    strategy: run_values.StageStrategy | None = None
    health_timeout_s: values.HealthTimeoutS = unset()
    healthcheck_host: values.HealthcheckHost = unset()
    healthcheck_request_timeout_s: values.RequestTimeout = unset()
    watch_s: run_values.WatchSeconds = unset()
    drain_timeout_s: values.DrainTimeoutS = unset()
    # Null is a value: no instance ends by its age.
    ttl_h: run_values.TimeToLive | None = None
    held: bool = unset()


class StageOut(RunOut):
    """A stage of a project, such as dev or prod."""

    id: str
    project: RefOut
    name: str
    tag_pattern: str
    position: int
    auto_deploy: bool
    allow_downgrade: bool
    max_instances: int
    engine: EngineKind | None
    replicas: int
    constraints: list[str]
    env: Mapping[str, str]
    domains: list[str]
    strategy: Strategy | None
    strategy_in_force: Strategy
    health_timeout_s: int
    healthcheck_host: str
    healthcheck_request_timeout_s: int
    watch_s: int
    drain_timeout_s: int
    ttl_h: int | None
    held: bool
    held_at: datetime | None
    held_by: str | None
    stopped_at: datetime | None
    stopped_by: str | None
    address: str | None
    created_at: datetime


class DivertedPushOut(ResponseModel):
    """A push that would have gone to another stage than it did."""

    tag: str
    at: datetime
    went_to: RefOut | None
    would_go_to: RefOut | None


class PatternPreviewOut(ResponseModel):
    """The effect of a pattern on the known tags and the last pushes."""

    matching: int
    tags: int
    newest: list[str]
    pushes: int
    elsewhere: list[DivertedPushOut]
    summary: str
    warnings: list[str]


class SavedStageOut(StageOut):
    """A stage that was just saved, with warnings."""

    warnings: list[str]
    preview: PatternPreviewOut | None


class CreatedProjectOut(ProjectOut):
    """A project that was just created, with the stages that were created with it."""

    stages: list[SavedStageOut]


class ReleasedStageOut(StageOut):
    """A stage that was just released."""

    deploys: list[str]


class DeployCreate(RequestModel):
    """An order to deploy a tag."""

    tag: values.TagText
    force: bool = False
    note: values.NoteText = ""


class RollbackCreate(RequestModel):
    """An order to roll back."""

    to: values.DeployId | None = None
    note: values.NoteText = ""


class ReleaseCreate(RequestModel):
    """An order to release a stage."""

    including: bool = False


class WayBackOut(ResponseModel):
    """The deploy that a rollback would bring back, null where there is none."""

    possible: bool
    reason: str
    deploy: str | None
    tag: str | None
    digest: str | None


class PromoteCreate(RequestModel):
    """An order to deploy the digest that is live in another stage."""

    source: values.StageId = Field(alias="from")
    note: values.NoteText = ""


class StepOut(ResponseModel):
    """One step of a deploy."""

    name: StepName
    status: StepStatus
    started_at: datetime | None
    finished_at: datetime | None
    detail: str


class DeployOut(ResponseModel):
    """One attempt to make a tag live in a stage."""

    id: str
    project: RefOut
    stage: RefOut
    tag: str
    digest: str | None
    trigger: Trigger
    ordered_by: str | None
    status: DeployStatus
    reason: str | None
    note: str
    cancelling: bool
    steps: list[StepOut]
    receipt: DeployReceiptOut | None
    log: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class InstanceOut(ResponseModel):
    """One container.

    The fields from `running` on are the engine's last report while it was live, null before.
    """

    id: str
    project: RefOut
    stage: RefOut
    deploy: str
    tag: str
    digest: str
    state: InstanceState
    url: str | None
    address: str | None
    container: str
    started_at: datetime
    stopped_at: datetime | None
    running: bool | None
    restarting: bool | None
    paused: bool | None
    restarts: int | None
    health: str | None
    trouble: str | None
    trouble_since: datetime | None


class LogsOut(ResponseModel):
    """The last log lines of a container, oldest first."""

    lines: list[str]


class ServedDomainOut(ResponseModel):
    """A domain at which a stage, or one of its instances, answers."""

    domain: str


class ConsideredOut(ResponseModel):
    """A stage whose pattern was tried."""

    stage: str
    pattern: str
    matches: bool


class ExplanationOut(ResponseModel):
    """The result that a push would have, and the reason."""

    image: str
    tag: str
    project: RefOut | None
    stage: RefOut | None
    outcome: Outcome
    reason: str
    considered: list[ConsideredOut]
