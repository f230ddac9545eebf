"""Images for tests: built in memory, pushed over HTTP, the same bytes for the same arguments."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from demo.sample_image import (
    DEFAULT_CMD,
    EXITS_AT_ONCE,
    FAILS_HEALTH,
    NEVER_LISTENS,
    PushError,
    SampleApp,
    build_image,
    build_index,
    listens_late,
    own_architecture,
    push,
)
from tagboat.core.image import Digest, parse_digest

__all__ = [
    "DEFAULT_CMD",
    "EXITS_AT_ONCE",
    "FAILS_HEALTH",
    "NEVER_LISTENS",
    "PushError",
    "listens_late",
    "push_image",
    "push_index",
]


def push_image(
    registry_host: str,
    repository: str,
    tag: str,
    *,
    body: str = "hello",
    port: int = 8080,
    labels: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cmd: Sequence[str] = DEFAULT_CMD,
    healthcheck: str | None = None,
    interval_s: int = 1,
    start_period_s: int = 0,
    architecture: str = "",
    created: datetime | None = None,
    extra_ports: Sequence[str] = (),
    programs: Mapping[str, str] | None = None,
    volumes: Sequence[str] = (),
    entrypoint: Sequence[str] = (),
    auth: tuple[str, str] | None = None,
) -> Digest:
    """Build the sample app and push it to `registry_host`/`repository`:`tag`; returns the digest.

    Raises PushError. `port` 0 exposes none; `extra_ports` are EXPOSE entries such as `9000/tcp`;
    see SampleApp for the rest.
    """
    app = SampleApp(
        body=body,
        port=port,
        labels=labels or {},
        env=env or {},
        cmd=cmd,
        healthcheck=healthcheck,
        interval_s=interval_s,
        start_period_s=start_period_s,
        architecture=architecture,
        created=created,
        extra_ports=extra_ports,
        programs=programs or {},
        volumes=volumes,
        entrypoint=entrypoint,
    )
    return parse_digest(push(registry_host, repository, tag, build_image(app), auth))


def push_index(
    registry_host: str,
    repository: str,
    tag: str,
    *,
    body: str = "hello",
    auth: tuple[str, str] | None = None,
) -> tuple[Digest, Digest]:
    """Push an OCI index of one image for this machine and one for another; returns the digests of
    index and own image.
    """
    own, other = build_image(SampleApp(body=body)), build_image(SampleApp(body=f"{body} elsewhere"))
    for image in (own, other):
        push(registry_host, repository, image.digest, image, auth)
    elsewhere = {"amd64": "linux/arm64", "arm64": "linux/amd64"}[own_architecture()]
    index = build_index({f"linux/{own_architecture()}": own, elsewhere: other})
    return parse_digest(push(registry_host, repository, tag, index, auth)), parse_digest(own.digest)
