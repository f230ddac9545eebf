"""Configuration by people: registries, projects and their stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tagboat.core.health import REQUEST_TIMEOUT_S
from tagboat.core.image import DOCKER_HUB, ImageName, is_docker_hub
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import PushVerdict
from tagboat.core.run import NO_OPTIONS, EngineKind, RunConfig, RunOptions
from tagboat.core.tags import TagPattern
from tagboat.core.values import replace

HEALTH_TIMEOUT_S = 60
"""Default of the seconds in which a new instance must become healthy.

An image whose HEALTHCHECK needs more time gets more.
"""
WATCH_S = 10
DRAIN_TIMEOUT_S = 30


class RegistryKind(StrEnum):
    """The kind of a registry.

    `gitea` (also Forgejo) stores tags in lower case; all other registries are `oci`.
    """

    GITEA = "gitea"
    OCI = "oci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A place where images are stored.

    `url` is the root of the registry's API (`https://HOST[:PORT]`); `password` never leaves the
    server; `password_command` is a command line that prints the password where that is not stored,
    empty for none; `ca_cert` is the PEM text of the certificate authorities that are trusted in
    addition to those of the system, empty for none. `login_service` is the server that first
    accepted the password for a token (`https://HOST[:PORT]`), which is the only one to get it
    since; empty before that.
    """

    id: str
    name: str
    url: str
    kind: RegistryKind
    username: str = ""
    # Not in `repr`, so that no log line and no error shows it.
    password: str | None = field(default=None, repr=False)
    password_command: str = ""
    ca_cert: str = ""
    login_service: str = ""

    @property
    def host(self) -> str:
        """Host, with port as written, of the images of this registry, in lower case."""
        # Docker Hub's API has another host than the names of its images.
        host = self.url.partition("://")[2].partition("/")[0].lower()
        return DOCKER_HUB if is_docker_hub(host) else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One image that is deployed.

    `port` is the TCP port on which the container listens, 0 for none; `healthcheck` is `/path`,
    `image` or empty. Each follows the newest image until a person has set it (`port_set`,
    `healthcheck_set`, `protocol_set`); `inspected` is False until a person or an image has set
    them. `protocol` is that of the app at that port.
    """

    id: str
    name: str
    image: ImageName
    port: int = 0
    healthcheck: str = ""
    protocol: AppProtocol = AppProtocol.HTTP
    protocol_set: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    run: RunOptions = NO_OPTIONS
    registry_id: str | None = None
    inspected: bool = True
    port_set: bool = False
    healthcheck_set: bool = False
    created_at: datetime


class Strategy(StrEnum):
    """Order of a replacement.

    `rolling`: the new instance starts while the old one runs. `recreate`: the old one stops first,
    because the app cannot run twice.
    """

    ROLLING = "rolling"
    RECREATE = "recreate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An environment of a project, such as `dev` or `prod`.

    `health_timeout_s`, `watch_s` and `drain_timeout_s` are seconds; `ttl_h` is how many hours an
    instance may live, None for no limit. A stage that is `held` gets no deploy by push or poll.
    With `allow_downgrade` a poll, and in a stage of the kind `semver:` a push too, may deploy a tag
    that is older than what is live. `held_at` and `held_by` say since when it is held, and the name
    of who did that; None where it is not held, or where that is not on record. `stopped_at` and
    `stopped_by` say the same of a stage that was stopped; None where it was not. Path health checks
    send `healthcheck_host` as Host (empty: that of the stage's address), and may take
    `healthcheck_request_timeout_s` seconds a request. A `strategy` of None depends on whether the
    app keeps data (see `tagboat.core.storage`).

    `engine` is the one that runs it, None for that of the server. `replicas` is how many tasks an
    instance has, on machines that fit `constraints`; more than 1, and constraints, need an engine
    with several machines (see `tagboat.core.placement`).
    `image_volumes` are the VOLUMEs of the image that was started last, as in `RunConfig`.
    `adopted_volumes` maps paths of VOLUMEs, and names of `volumes`, to names of engine volumes that
    an earlier version of Tagboat or somebody else created and that stay in use.
    """

    id: str
    project_id: str
    name: str
    pattern: TagPattern
    position: int = 0
    auto_deploy: bool = True
    allow_downgrade: bool = False
    max_instances: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    run: RunOptions = NO_OPTIONS
    domains: tuple[str, ...] = ()
    strategy: Strategy | None = None
    health_timeout_s: int = HEALTH_TIMEOUT_S
    healthcheck_host: str = ""
    healthcheck_request_timeout_s: int = REQUEST_TIMEOUT_S
    watch_s: int = WATCH_S
    drain_timeout_s: int = DRAIN_TIMEOUT_S
    ttl_h: int | None = None
    held: bool = False
    held_at: datetime | None = None
    held_by: str | None = None
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    engine: EngineKind | None = None
    replicas: int = 1
    constraints: tuple[str, ...] = ()
    image_volumes: tuple[str, ...] = ()
    adopted_volumes: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime

    @property
    def stopped(self) -> bool:
        """True from a person's order to stop it until something is live in it again."""
        return self.stopped_at is not None

    def stopped_since(self, then: datetime | None) -> bool:
        """Return whether somebody has stopped it after `then`; False where that is not known."""
        return self.stopped_at is not None and then is not None and then < self.stopped_at

    @property
    def closed_to_news(self) -> bool:
        """True while pushes and polls deploy nothing in it: it is held or stopped."""
        return self.held or self.stopped


def with_hold(before: Stage | None, after: Stage, by: str, at: datetime) -> Stage:
    """Return the stage `after` a change by `by`, with the time and name of its hold.

    A hold that was in force `before` keeps both.
    """
    if not after.held:
        return replace(after, held_at=None, held_by=None)
    # A rollback in a held stage holds it again; the person who held it first is the one to ask.
    return after if before and before.held else replace(after, held_at=at, held_by=by)


class KnownTag(Struct, frozen=True, kw_only=True):
    """A tag that a webhook, a poll or a person has named.

    `digest` is the last one that it pointed to, None if it was never resolved. `verdict` is the
    decision when it was last new or changed, None if that is not on record.
    """

    project_id: str
    tag: str
    digest: str | None
    first_seen: datetime
    source: str
    verdict: PushVerdict | None = None


def judged_tag(project_id: str, tag: str, digest: str | None, verdict: PushVerdict) -> KnownTag:
    """Return the record of a tag that was new or changed, with the decision about it."""
    return KnownTag(
        project_id=project_id,
        tag=tag,
        digest=digest,
        first_seen=verdict.at,
        source=verdict.source,
        verdict=verdict,
    )


class HeldPush(Struct, frozen=True, kw_only=True):
    """A push that was not deployed.

    Its stage was held, its digest had been taken back there, or its version is too low. Releasing
    the stage deploys it; in the latter two cases only on request. `digest` as in `KnownTag`.
    """

    stage_id: str
    tag: str
    digest: str | None
    source: str
    seen_at: datetime


def run_config(project: Project, stage: Stage) -> RunConfig:
    """Return the configuration with which a deploy of `stage` would start its containers now."""
    return RunConfig(
        port=project.port,
        healthcheck=project.healthcheck,
        protocol=project.protocol,
        # The stage's values override the project's, name by name.
        env={**project.env, **stage.env},
        options=stage.run.over(project.run),
        image_volumes=stage.image_volumes,
        engine=stage.engine,
        replicas=stage.replicas,
        constraints=stage.constraints,
    )
