"""The JSON of the Docker Engine API about images, volumes and logins. Pure."""

import base64
import json
from collections.abc import Iterable

from tagboat.core.catalog import Registry
from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import (
    Digest,
    ImageInfo,
    ImageName,
    is_docker_hub,
    parse_digest,
    parse_image_name,
    parse_image_ref,
    volume_paths,
)
from tagboat.core.keeping import DiskUsage, ImageSize, Volume
from tagboat.runtime.docker.healthtest import health_test, needs_s
from tagboat.runtime.docker.wire import Json, parse_time

# The user name by which Docker marks a password that is a token.
DOCKER_IDENTITY_TOKEN = "<token>"  # noqa: S105
LABELS_FOR_PEOPLE = "org.opencontainers."
_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"


def image_info(answer: Json, ref: str) -> ImageInfo:
    """Read the answer of ImageInspect for `ref`."""
    config = answer.get("Config") or {}
    exposed = [entry.partition("/") for entry in config.get("ExposedPorts") or {}]
    return ImageInfo(
        digest=own_digest(ref, answer.get("RepoDigests") or []),
        tcp_ports=tuple(
            sorted(
                int(port)
                for port, _, protocol in exposed
                if protocol in {"", "tcp"} and port.isascii() and port.isdigit()
            )
        ),
        labels=config.get("Labels") or {},
        has_healthcheck=health_test(config) is not None,
        created=parse_time(answer.get("Created") or ""),
        health_needs_s=needs_s(config),
        platform=platform_of(answer),
        volumes=volume_paths(config.get("Volumes") or {}),
        user=config.get("User") or "",
        exposed=tuple(sorted(config.get("ExposedPorts") or ())),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        healthcheck=tuple((config.get("Healthcheck") or {}).get("Test") or ()),
        env=tuple(config.get("Env") or ()),
        size=answer.get("Size"),
    )


def steering_labels(answer: Json) -> list[str]:
    """Return the labels of the image of an ImageInspect answer that are not for people.

    Proxies and jobs of others may go by them.
    """
    labels = (answer.get("Config") or {}).get("Labels") or {}
    return [name for name in labels if not name.startswith(LABELS_FOR_PEOPLE)]


def disk_usage(answer: Json) -> DiskUsage:
    """Read the answer of SystemDataUsage."""
    images = (
        ImageSize(frozenset(one.get("RepoDigests") or ()), one["Size"])
        for one in answer.get("Images") or ()
    )
    volumes = []
    for one in answer.get("Volumes") or ():
        # -1 stands for a size that was not measured (SystemDataUsage).
        size = (one.get("UsageData") or {}).get("Size", -1)
        known = size if size >= 0 else None
        volumes.append(Volume(one["Name"], known, one.get("Labels") or {}))
    return DiskUsage(
        tuple(images),
        tuple(volumes),
        answer.get("LayersSize") or 0,
    )


def repo_tags(answer: Json) -> list[str]:
    """Return the names with a tag that the image of an ImageInspect answer bears."""
    return [name for name in answer.get("RepoTags") or [] if name != "<none>:<none>"]


def platform_of(answer: Json) -> str:
    """Return system and processor of an ImageInspect or SystemVersion, empty if not said."""
    # ImageInspect names it `Architecture`, SystemVersion `Arch`.
    named = (answer.get("Os"), answer.get("Architecture") or answer.get("Arch"))
    return "/".join(str(part).lower() for part in named) if all(named) else ""


def own_digest(ref: str, repo_digests: Iterable[str]) -> Digest | None:
    """Return the digest by which the repository of `ref` knows the image, else None.

    An image can bear several digests of one repository (an index and the image in it): one that
    `ref` names goes first.
    """
    name = _repository(ref.partition("@")[0])
    entries = (entry.partition("@") for entry in repo_digests)
    known = [
        parse_digest(digest)
        for other, _, digest in entries
        if name is not None and _repository(other) == name
    ]
    asked = ref.partition("@")[2]
    return next((digest for digest in known if digest == asked), known[0] if known else None)


def registry_auth(image: ImageName, registry: Registry | None) -> str | None:
    """Return the value of X-Registry-Auth, None for an anonymous pull.

    Engines with containerd's image store drop a login whose `serveraddress` is not the image's
    host; for Docker Hub they only take the historic URL.
    """
    if registry is None or registry.password is None:
        return None
    return base64.urlsafe_b64encode(
        json.dumps(registry_login(image.host, registry)).encode()
    ).decode("ascii")


def registry_login(host: str, registry: Registry) -> dict[str, str]:
    """Return the login of a registry for images that begin with `host`, as the engine takes it."""
    login = {"serveraddress": _DOCKER_HUB_LOGIN if is_docker_hub(host) else host}
    if registry.username == DOCKER_IDENTITY_TOKEN:
        return login | {"identitytoken": registry.password or ""}
    return login | {"username": registry.username, "password": registry.password or ""}


def _repository(text: str) -> ImageName | None:
    """Return the repository of `NAME` or `NAME:TAG`.

    None for what is none, such as an image id or `<none>`.
    """
    try:
        return (
            parse_image_ref(text).name if ":" in text.rpartition("/")[2] else parse_image_name(text)
        )
    except InvalidImageRefError:
        return None
