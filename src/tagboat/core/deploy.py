"""Deploys, their steps and their instances, with the legal changes of their states."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tagboat.core.catalog import HeldPush
from tagboat.core.endpoint import Endpoint
from tagboat.core.image import Digest, ImageName
from tagboat.core.protocol import AppProtocol
from tagboat.core.values import replace


class Trigger(StrEnum):
    """The cause of a deploy."""

    # The values are stored, and part of the API.
    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


EXACT_TRIGGERS = frozenset({Trigger.PROMOTE, Trigger.ROLLBACK})
"""Those that deploy the digest they name and no other."""
NEWS_TRIGGERS = frozenset({Trigger.WEBHOOK, Trigger.POLL})
"""Those of which no person has ordered anything."""
MAX_NOTE = 500
"""Characters of the note of a deploy at most."""
_BETWEEN_NOTES = "; "


class DeployStatus(StrEnum):
    """`queued` and `running` are open; the others are final."""

    # The values are stored, and part of the API.
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True once nothing follows any more."""
        return self not in OPEN_STATUSES


OPEN_STATUSES = frozenset({DeployStatus.QUEUED, DeployStatus.RUNNING})


class StepName(StrEnum):
    """The steps of a deploy, in their order.

    Before `switch` the old instance is not touched, unless the two cannot run at once.
    """

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


class Step(Struct, frozen=True):
    """One step of a deploy; `detail` is words for a person."""

    name: StepName
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""


PENDING_STEPS = tuple(Step(name) for name in StepName)


class Deploy(Struct, frozen=True, kw_only=True):
    """One attempt to make a tag live in a stage.

    `digest` is what `resolve` found, of the repository `image` (None until then: the project's).
    Before that it is what the push named: a hint, which decides what merges into it, and which
    `resolve` goes by only where it `is_exact`; `exact` is set for a restart and a start. `merges`
    counts the pushes merged into it, so that a resolution that raced with one is seen to be stale.
    `claimed_by` is the server at work on it until `claimed_until`, and `claim` counts its claims:
    only with the last one may a server act for it. `cancelling` is whether somebody
    asked to cancel it. `ordered_by` is the name of the account or token that ordered it, None where
    a push or a poll did. `note` is the reason that a person gave for it, empty for none.

    What it has done so far decides how it is undone: `container` is the name of its container,
    chosen before any is made; `release_id` is the engine's id of the container of its release
    command, from before that is started, and `released` whether that command has ended well;
    `replaced` are the ids of the instances that it put to draining, and `made_way` is whether it
    stops them before its own is live.
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
    exact: bool = False
    ordered_by: str | None = None
    steps: tuple[Step, ...] = PENDING_STEPS
    log: str = ""
    merges: int = 0
    cancelling: bool = False
    note: str = ""
    image: ImageName | None = None
    container: str = ""
    release_id: str = ""
    released: bool = False
    replaced: tuple[str, ...] = ()
    made_way: bool = False
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    claim: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def step(self, name: StepName) -> Step:
        """Return the step of that name."""
        return next(step for step in self.steps if step.name is name)

    def with_step(self, step: Step) -> "Deploy":
        """Return the same deploy with `step` in the place of the one of its name."""
        return replace(
            self, steps=tuple(step if old.name is step.name else old for old in self.steps)
        )

    @property
    def begun(self) -> bool:
        """True once any of its steps was taken."""
        return self.steps[0].status is not StepStatus.PENDING

    @property
    def is_exact(self) -> bool:
        """True if it brings the digest that it names and no other, whatever its tag points to."""
        return self.exact or self.trigger in EXACT_TRIGGERS

    @property
    def by_news(self) -> bool:
        """True if a push or a poll has caused it, not a person."""
        return self.trigger in NEWS_TRIGGERS

    @property
    def failed_step(self) -> Step | None:
        """The step at which it failed: it is being taken back, or has been."""
        return next((step for step in self.steps if step.status is StepStatus.FAILED), None)

    @property
    def resolved(self) -> bool:
        """True once `resolve` has settled on a digest."""
        return self.step(StepName.RESOLVE).status is StepStatus.DONE


def merges_into(waiting: Deploy, tag: str, digest: Digest | None, *, force: bool) -> bool:
    """Return whether `waiting` will bring a push of `tag`, which then needs no other deploy.

    It will when it still has to look the tag up, or was told to bring this very digest. One already
    told another digest, or to be forced less than asked, will not; nor will one that has failed or
    is being cancelled.
    """
    if waiting.status.final or waiting.cancelling or waiting.failed_step is not None:
        return False
    # A resolved one may have found the digest from before this push.
    if waiting.tag != tag or waiting.resolved or (force and not waiting.force):
        return False
    # It looks the tag up itself, or was told the same digest.
    if waiting.digest is None or waiting.digest == digest:
        return True
    # Without a digest in the push, `merged` makes the queued one look the tag up afresh.
    return digest is None and waiting.status is DeployStatus.QUEUED and not waiting.is_exact


def merged(waiting: Deploy, digest: Digest | None) -> Deploy:
    """Return `waiting` after a push that merges into it.

    Unless both name one digest, it must look the tag up afresh.
    """
    kept = waiting.digest if digest is not None else None
    return replace(waiting, digest=kept, merges=waiting.merges + 1)


def both_notes(first: str, second: str) -> str:
    """Return the notes of two orders as one of at most `MAX_NOTE` characters, each note once."""
    if not second or second in first.split(_BETWEEN_NOTES):
        return first
    joined = _BETWEEN_NOTES.join(filter(None, (first, second)))
    return joined if len(joined) <= MAX_NOTE else joined[: MAX_NOTE - 1] + "…"


class InstanceState(StrEnum):
    """`starting` → `live` → `draining` → `stopped`; `failed` from any of the first three."""

    STARTING = "starting"
    LIVE = "live"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """True once its container is gone for good."""
        return self in {InstanceState.STOPPED, InstanceState.FAILED}


Version = tuple[Digest, str]
"""What an instance serves.

The digest of its image, and the fingerprint of the configuration it was started with.
"""

ADOPTED = "adopted"
"""The fingerprint of an instance whose container a person made: no configuration has it."""

ACTIVE_STATES = frozenset({InstanceState.STARTING, InstanceState.LIVE, InstanceState.DRAINING})
"""Those of instances that have, or are about to have, a container."""


class Instance(Struct, frozen=True, kw_only=True):
    """One workload that serves one tag of a stage: a container, or several tasks.

    `image` is the repository of its image, None for the project's. `container` is the name of its
    container, `container_id` the runtime's id of it, empty until it is known. `endpoints` is where
    its tasks are reached, empty until that is known, and where it listens on nothing. `fingerprint`
    is that of the configuration it was started with. `watched` is True once it has stayed healthy
    for as long as its stage watches a new version; until then, the instance that it has replaced is
    kept. `protocol` is the one that it speaks.

    `live_at` is when it became live, None if it never did; `left_at` is when it ceased to be, None
    while it is, and `left_for` the id of the deploy that replaced it, empty if none did.
    """

    id: str
    deploy_id: str
    project_id: str
    stage_id: str
    tag: str
    digest: Digest
    image: ImageName | None = None
    state: InstanceState
    container: str
    container_id: str = ""
    endpoints: tuple[Endpoint, ...]
    fingerprint: str
    watched: bool = True
    started_at: datetime
    stopped_at: datetime | None = None
    live_at: datetime | None = None
    left_at: datetime | None = None
    left_for: str = ""
    protocol: AppProtocol = AppProtocol.HTTP

    @property
    def handle(self) -> str:
        """Name by which the runtime is asked about it.

        Its id once that is known, for a container can be renamed.
        """
        return self.container_id or self.container

    @property
    def adopted(self) -> bool:
        """True if a person made its container: that is stopped in the end, and never removed."""
        return self.fingerprint == ADOPTED

    @property
    def version(self) -> "Version":
        """Digest and fingerprint that it serves."""
        return self.digest, self.fingerprint

    @property
    def url(self) -> str | None:
        """URL of its first endpoint, None when it listens on nothing."""
        # An app that speaks h2c is still an `http` URL.
        scheme = "https" if self.protocol is AppProtocol.HTTPS else "http"
        return f"{scheme}://{self.endpoints[0]}" if self.endpoints else None


def made_live(instance: Instance, now: datetime, *, watched: bool) -> Instance:
    """Return `instance` as live from `now` on; see its field for `watched`."""
    return replace(
        instance, state=InstanceState.LIVE, live_at=instance.live_at or now, watched=watched
    )


def made_draining(instance: Instance, now: datetime, left_for: str = "") -> Instance:
    """Return `instance` as live no more since `now`, replaced by the deploy `left_for` if any."""
    return replace(instance, state=InstanceState.DRAINING, left_at=now, left_for=left_for)


def live_again(instance: Instance) -> Instance:
    """Return a draining `instance` as live, because what replaced it was taken back."""
    return replace(instance, state=InstanceState.LIVE, left_at=None, left_for="")


class TakenBack(Struct, frozen=True, kw_only=True):
    """A version that went live in a stage and was taken back, of which `reason` says why.

    It failed its watch, or a person rolled back from it. Pushes and polls do not deploy its digest
    there again.
    """

    stage_id: str
    digest: Digest
    fingerprint: str
    tag: str
    reason: str
    at: datetime


def push_of(deploy: Deploy) -> HeldPush:
    """Return the push or poll that a deploy was queued by, as one that waits in its stage."""
    return HeldPush(
        stage_id=deploy.stage_id,
        tag=deploy.tag,
        digest=deploy.digest,
        source=deploy.trigger.value,
        seen_at=deploy.created_at,
    )
