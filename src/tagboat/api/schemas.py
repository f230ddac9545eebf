"""What goes in and out, field by field: CONTRACT section 6."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from tagboat.api import run_values, values
from tagboat.api.bodies import Answer, Asked, unset
from tagboat.api.run_schemas import RunAsked, RunShown
from tagboat.core.catalog import HEALTH_TIMEOUT_S, Strategy
from tagboat.core.deploy import DeployStatus, InstanceState, StepName, StepStatus, Trigger
from tagboat.core.health import REQUEST_TIMEOUT_S
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import Outcome

T = TypeVar("T")

MOST_FIRST_STAGES = 20
"""Stages that can be made in one call with their project."""


class Page(Answer, Generic[T]):
    """A part of a list. `next` is the cursor of the part that follows, null at the end."""

    items: list[T]
    next: str | None


class FieldProblem(Answer):
    """One value that cannot be used."""

    field: str
    message: str


class Problem(Answer):
    """An error after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = Field(default_factory=lambda: None)


class Named(Answer):
    """A project or stage."""

    id: str
    name: str


class Health(Answer):
    """How the server is: `degraded` where anything but its database is out.

    What a check says is `ok` or why not; `none` of the ingress that there is to be none.
    """

    status: Literal["ok", "degraded", "unavailable"]
    version: str
    checks: dict[str, str]


class ProjectChange(RunAsked):
    """What to change of a project. Another `image` makes its tags unknown again.

    With `port_set`, `healthcheck_set` or `protocol_set` of false the image says it again, from the next deploy on; true keeps
    what it is.
    """

    name: values.Name = unset()
    image: values.Image = unset()
    port: values.Port = unset()
    port_set: bool = unset()
    healthcheck: values.Healthcheck = unset()
    healthcheck_set: bool = unset()
    protocol_set: bool = unset()
    protocol: run_values.ProjectProtocol = unset()
    env: values.Env = unset()
    registry: values.RegistryReference | None = None


class Poll(Answer):
    """How the polls of a project stand."""

    last_at: datetime | None
    next_at: datetime | None
    error: str | None


class Project(RunShown):
    """One image that is deployed. `registry` is an id; null: it is found by the image's host.

    `port`, `healthcheck` and `protocol` follow the newest image unless a person has set them: `port_set` and so on.
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
    poll: Poll
    created_at: datetime


class StageAsked(RunAsked):
    """A stage to be made."""

    name: values.Name
    tag_pattern: values.Pattern
    position: values.Position = 0
    auto_deploy: bool = True
    allow_downgrade: bool = False
    max_instances: values.MaxInstances = 1
    env: values.Env = Field(default_factory=dict)
    domains: values.Domains = Field(default_factory=list)
    strategy: run_values.StageStrategy | None = None
    health_timeout_s: values.HealthTimeout = HEALTH_TIMEOUT_S
    healthcheck_host: values.HealthcheckHost = ""
    healthcheck_request_timeout_s: values.RequestTimeout = REQUEST_TIMEOUT_S
    watch_s: run_values.WatchTime = 10
    drain_timeout_s: values.DrainTimeout = 30
    ttl_h: run_values.TimeToLive | None = None
    held: bool = False


class ProjectAsked(RunAsked):
    """A project to be made. Where `port` or `healthcheck` is left out, the newest image says it.

    `stages` are made with it: all of that, or nothing.
    """

    name: values.Name
    image: values.Image
    port: values.Port = unset()
    healthcheck: values.Healthcheck = unset()
    protocol: run_values.ProjectProtocol = unset()
    env: values.Env = unset()
    registry: values.RegistryReference | None = None
    stages: Annotated[list[StageAsked], Field(max_length=MOST_FIRST_STAGES)] = Field(
        default_factory=list
    )


class StageChange(RunAsked):
    """What to change of a stage."""

    name: values.Name = unset()
    tag_pattern: values.Pattern = unset()
    position: values.Position = unset()
    auto_deploy: bool = unset()
    allow_downgrade: bool = unset()
    max_instances: values.MaxInstances = unset()
    env: values.Env = unset()
    domains: values.Domains = unset()
    strategy: run_values.StageStrategy | None = None
    health_timeout_s: values.HealthTimeout = unset()
    healthcheck_host: values.HealthcheckHost = unset()
    healthcheck_request_timeout_s: values.RequestTimeout = unset()
    watch_s: run_values.WatchTime = unset()
    drain_timeout_s: values.DrainTimeout = unset()
    ttl_h: run_values.TimeToLive | None = None
    held: bool = unset()


class Stage(RunShown):
    """One lane of a project. `address` is its URL through the ingress, null without one.

    `strategy_in_force` is the strategy, or what follows from what the app keeps where that is null.
    """

    id: str
    project: Named
    name: str
    tag_pattern: str
    position: int
    auto_deploy: bool
    allow_downgrade: bool
    max_instances: int
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
    address: str | None
    created_at: datetime


class SavedStage(Stage):
    """A stage just saved. `warnings` say what will not go as one might think."""

    warnings: list[str]


class CreatedProject(Project):
    """A project just made, with the stages that were made with it."""

    stages: list[SavedStage]


class ReleasedStage(Stage):
    """A stage just released. `deploys` are the ids of those queued for what came while it was held."""

    deploys: list[str]


class DeployAsked(Asked):
    """What to deploy. `force`: even if it is live already."""

    tag: values.Tag
    force: bool = False


class RollbackAsked(Asked):
    """What to go back to: the id of a deploy; left out or null: what was live before."""

    to: values.DeployId | None = None


class ReleaseAsked(Asked):
    """How to release. `including`: deploy what was taken back in the stage as well, if it was pushed again meanwhile."""

    including: bool = False


class WayBack(Answer):
    """What a rollback would bring back: the deploy that brought it, its tag and digest, null where there is nothing.

    `reason` says why it is not `possible`, empty where it is.
    """

    possible: bool
    reason: str
    deploy: str | None
    tag: str | None
    digest: str | None


class PromoteAsked(Asked):
    """The id of the stage whose live digest to deploy."""

    source: values.StageId = Field(alias="from")


class Step(Answer):
    """One step of a deploy."""

    name: StepName
    status: StepStatus
    started_at: datetime | None
    finished_at: datetime | None
    detail: str


class Deploy(Answer):
    """One attempt to make a tag live in a stage. `cancelling`: somebody asked to cancel it, which is not done yet."""

    id: str
    project: Named
    stage: Named
    tag: str
    digest: str | None
    trigger: Trigger
    status: DeployStatus
    reason: str | None
    cancelling: bool
    steps: list[Step]
    log: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Instance(Answer):
    """One container. `url` is its own loopback address; `deploy` the id of the deploy that made it.

    `address` is its own URL through the ingress, while it is live and its stage may have several; else null. The rest is what
    the engine last said of it while it was live, null before: `restarts` is how often the engine has restarted it, `health`
    what its HEALTHCHECK says, null without one. `trouble` is why it needs a person since `trouble_since`; null: it is well.
    """

    id: str
    project: Named
    stage: Named
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


class Logs(Answer):
    """The last lines that a container wrote, oldest first."""

    lines: list[str]


class Served(Answer):
    """A domain at which a stage, or one of its instances, answers."""

    domain: str


class Considered(Answer):
    """A stage that was tried."""

    stage: str
    pattern: str
    matches: bool


class Explanation(Answer):
    """What a push would do, and why."""

    image: str
    tag: str
    project: Named | None
    stage: Named | None
    outcome: Outcome
    reason: str
    considered: list[Considered]


class Settings(Answer):
    """What can be set while the server runs."""

    poll_schedule: str
    auto_create: bool
    auto_create_images: list[str] | None
    max_projects: int
    deliveries_keep_days: int
    deliveries_keep: int
    images_keep: int
    history_keep_days: int


class SettingsChange(Asked):
    """What to change of the settings."""

    poll_schedule: values.Schedule = unset()
    auto_create: bool = unset()
    auto_create_images: values.ImageGlobs | None = unset()
    max_projects: values.MaxProjects = unset()
    deliveries_keep_days: values.KeepDays = unset()
    deliveries_keep: values.KeepNumber = unset()
    images_keep: values.KeepImages = unset()
    history_keep_days: values.KeepHistory = unset()


class WebhookUrl(Answer):
    """The URL that senders call. It holds the secret; `allows` is a sentence on what whoever has it can do."""

    url: str
    allows: str
