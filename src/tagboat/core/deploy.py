"""Deploys, their steps and the instances they make, with the legal transitions between their states."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from tagboat.core.image import Digest
from tagboat.core.protocol import AppProtocol


class Trigger(StrEnum):
    """What caused a deploy."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


EXACT_TRIGGERS = frozenset({Trigger.PROMOTE, Trigger.ROLLBACK})
"""Those that deploy the digest they name and no other."""


class DeployStatus(StrEnum):
    """`queued` and `running` are open; the others are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing follows any more."""
        return self not in OPEN_STATUSES


OPEN_STATUSES = frozenset({DeployStatus.QUEUED, DeployStatus.RUNNING})


class StepName(StrEnum):
    """The steps of a deploy, in their order. Before `switch` the old instance is not touched, unless it cannot run beside."""

    RESOLVE = "resolve"
    PULL = "pull"
    START = "start"
    CHECK = "check"
    SWITCH = "switch"
    WATCH = "watch"
    DRAIN = "drain"
    RETIRE = "retire"


class StepStatus(StrEnum):
    """`pending` → `running` → `done`, `failed` or `skipped`."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a deploy; `detail` is words for a person."""

    name: StepName
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""


PENDING_STEPS = tuple(Step(name) for name in StepName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """One attempt to make a tag live in a stage.

    `digest` is what the push named or what `resolve` found. `merges` counts the pushes merged into it, so that a
    resolution that raced with one is seen to be stale. `claimed_by` is the server at work on it until `claimed_until`.
    `cancelling` is whether somebody asked to cancel it, `released` whether its release command has been run.
    """

    id: str
    project_id: str
    stage_id: str
    tag: str
    digest: Digest | None
    trigger: Trigger
    status: DeployStatus = DeployStatus.QUEUED
    reason: str | None = None
    force: bool = False
    steps: tuple[Step, ...] = PENDING_STEPS
    log: str = ""
    merges: int = 0
    cancelling: bool = False
    released: bool = False
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def step(self, name: StepName) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name is name)

    def with_step(self, step: Step) -> "Deploy":
        """The same deploy with `step` in the place of the one of its name."""
        return replace(self, steps=tuple(step if old.name is step.name else old for old in self.steps))

    @property
    def failed_step(self) -> Step | None:
        """The step at which it failed: it is being taken back, or has been."""
        return next((step for step in self.steps if step.status is StepStatus.FAILED), None)

    @property
    def resolved(self) -> bool:
        """Whether `resolve` has settled on a digest."""
        return self.step(StepName.RESOLVE).status is StepStatus.DONE


def merges_into(waiting: Deploy, tag: str, digest: Digest | None, *, force: bool) -> bool:
    """Whether a push of `tag` (and `digest`, where known) needs no deploy of its own because `waiting` will bring it.

    It will when it still has to look the tag up, or was told to bring this very digest. One already told another digest,
    or to be forced less than asked, will not.
    """
    if waiting.tag != tag or waiting.resolved or (force and not waiting.force):
        return False
    if waiting.digest is None or waiting.digest == digest:
        return True
    return digest is None and waiting.status is DeployStatus.QUEUED and waiting.trigger not in EXACT_TRIGGERS


def merged(waiting: Deploy, digest: Digest | None) -> Deploy:
    """`waiting` after a push that merges into it: unless both name one digest, it must look the tag up afresh."""
    kept = waiting.digest if digest is not None else None
    return replace(waiting, digest=kept, merges=waiting.merges + 1)


class InstanceState(StrEnum):
    """`starting` → `live` → `draining` → `stopped`; `failed` from anywhere before `stopped`."""

    STARTING = "starting"
    LIVE = "live"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether its container is gone for good."""
        return self in {InstanceState.STOPPED, InstanceState.FAILED}


ACTIVE_STATES = frozenset({InstanceState.STARTING, InstanceState.LIVE, InstanceState.DRAINING})
"""Those of instances that have, or are about to have, a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One container that serves one tag of a stage.

    `host_port` is the loopback port it is published on, 0 for none; `fingerprint` is that of the
    configuration it was started with, `protocol` how it is spoken to at its port.
    """

    id: str
    deploy_id: str
    project_id: str
    stage_id: str
    tag: str
    digest: Digest
    state: InstanceState
    container: str
    host_port: int
    fingerprint: str
    started_at: datetime
    stopped_at: datetime | None = None
    protocol: AppProtocol = AppProtocol.HTTP

    @property
    def url(self) -> str | None:
        """Its own loopback address, None when it listens on nothing."""
        scheme = "https" if self.protocol is AppProtocol.HTTPS else "http"
        return f"{scheme}://127.0.0.1:{self.host_port}" if self.host_port else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What the engine is asked to run.

    `image` is `NAME@DIGEST`; `port` is published on 127.0.0.1:`host_port` unless 0. `volumes` are absolute paths in the
    container by the names of the engine's volumes, made where they are missing. `files` are contents by absolute path.
    `aliases` are further names by which it is found on those of `networks` that they stand for. The
    rest is as in `RunOptions`: 0, empty and None leave the engine's or the image's own. Without `restarts` it is run once.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int = 0
    host_port: int = 0
    command: tuple[str, ...] = ()
    user: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    networks: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    restarts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    """What the engine says of a container.

    `health` is None without a HEALTHCHECK, else `starting`, `healthy` or `unhealthy`.
    """

    id: str
    name: str
    running: bool
    restarting: bool
    restarts: int
    exit_code: int
    oom_killed: bool
    health: str | None
    labels: Mapping[str, str]
    host_port: int
