"""Image references: parsed once where they come in, immutable from then on.

The grammar is that of the distribution project's `reference` package (which `docker pull` accepts),
with Docker Hub's short forms completed. Tag grammar and lengths follow the OCI distribution
specification 1.1.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NewType

from msgspec import Struct, field

from tagboat.core.errors import InvalidImageRefError
from tagboat.core.excerpt import excerpt

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hexadecimal digits."""

DOCKER_HUB = "docker.io"
MAX_NAME_LENGTH = 255
MAX_TAG_LENGTH = 128
HIGHEST_PORT = 65535
# More than name, tag and digest can fill; longer text is refused before it is parsed.
_MAX_REF_LENGTH = 512

# Clients and configuration files use all of these names for one registry.
_DOCKER_HUB_ALIASES = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}", re.ASCII)
# OCI distribution specification 1.1, "Pulling manifests".
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_TAG_LENGTH - 1}}}", re.ASCII)
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY_HOST = re.compile(
    rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?", re.ASCII
)
_PORT_SUFFIX = re.compile(r":([0-9]{1,5})$", re.ASCII)
# As in the `reference` package: one dot, one or two underscores or any dashes separate words.
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)


class ImageName(Struct, frozen=True, order=True):
    """A repository: the image without tag.

    `host` is in lower case and keeps its port; `path` has at least one part.
    """

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def last_part(self) -> str:
        """The last part of the path: `app` of `git.example.com/acme/app`."""
        return self.path.rpartition("/")[2]


class ImageRef(Struct, frozen=True, order=True):
    """An image with its tag and, if known, its digest."""

    name: ImageName
    tag: str
    digest: Digest | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


class ImageInfo(Struct, frozen=True):
    """The configuration of an image (OCI image configuration).

    `tcp_ports` are the TCP ports of EXPOSE in ascending order; `created` is None if unknown.
    `volumes` are the paths of its VOLUMEs, as `volume_paths` returns them. `health_needs_s` is the
    number of seconds that its HEALTHCHECK needs for a result: start period plus interval times
    retries. `platform` is the one it is built for, such as `linux/arm64`. Both are known on an
    engine only, and so is `size`, in bytes. `exposed` are all ports of EXPOSE as they are written,
    sorted; `healthcheck` are the words of its HEALTHCHECK. `env` are its ENVs, as NAME=VALUE.
    """

    digest: Digest | None = None
    tcp_ports: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    has_healthcheck: bool = False
    created: datetime | None = None
    health_needs_s: float = 0.0
    platform: str = ""
    volumes: tuple[str, ...] = ()
    user: str = ""
    exposed: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    size: int | None = None


def volume_paths(declared: Iterable[object]) -> tuple[str, ...]:
    """Return the absolute paths among an image's VOLUMEs, clean (`/a/b`), sorted, each once."""
    return tuple(
        sorted(
            {
                clean_path(path)
                for path in declared
                if isinstance(path, str) and path.startswith("/")
            }
            - {"/"}
        )
    )


def clean_path(path: str) -> str:
    """Return an absolute path without empty parts, `.` and `..`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest; raise InvalidImageRefError unless it is a SHA-256 digest."""
    if not _DIGEST.fullmatch(text):
        raise InvalidImageRefError(
            f"{excerpt(text)} is not a digest: sha256: and 64 lower-case hex digits are expected"
        )
    return Digest(text)


def is_tag(text: str) -> bool:
    """Return whether `text` is a tag by the grammar of the OCI distribution specification."""
    return _TAG.fullmatch(text) is not None


def parse_tag(text: str) -> str:
    """Return `text` if it is a tag; else raise InvalidImageRefError.

    A tag has at most 128 letters, digits, `_`, `.` and `-`.
    """
    if len(text) > MAX_TAG_LENGTH:
        raise InvalidImageRefError(
            f"the tag {excerpt(text)} has {len(text)} characters; "
            f"at most {MAX_TAG_LENGTH} are allowed"
        )
    if not is_tag(text):
        raise InvalidImageRefError(
            f"{excerpt(text)} is not a tag: letters, digits, '_', '.' and '-', "
            "not starting with '.' or '-'"
        )
    return text


def parse_image_name(text: str) -> ImageName:
    """Parse a repository without tag or digest; raise InvalidImageRefError that names the fault.

    `nginx` becomes `docker.io/library/nginx`; the host is converted to lower case and its port is
    kept as written.
    """
    name, tag, digest = _split(text)
    if tag is not None or digest is not None:
        raise InvalidImageRefError(
            f"{excerpt(text)} has a tag or digest; give the image without it, "
            f"such as {excerpt(name)}"
        )
    return _parse_name(name)


# Senders and polls name the same images again and again.
@lru_cache(maxsize=1024)
def parse_image_ref(text: str) -> ImageRef:
    """Parse `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`; raise InvalidImageRefError that names the fault.

    A missing tag is `latest`; a digest without a tag is refused, since a stage is chosen by tag.
    """
    name, tag, digest = _split(text)
    if tag is None and digest is not None:
        example = excerpt(f"{name}:v1@sha256:…")
        raise InvalidImageRefError(
            f"{excerpt(text)} has a digest but no tag; add the tag, as in {example}"
        )
    parsed = _parse_name(name)
    return ImageRef(
        parsed,
        parse_tag(tag) if tag is not None else "latest",
        parse_digest(digest) if digest is not None else None,
    )


def is_docker_hub(host: str) -> bool:
    """Return whether `host` is one of the names of Docker Hub's registry."""
    return host in _DOCKER_HUB_ALIASES


def docker_trust_file(host: str) -> str:
    """Return the file with the authorities (PEM) that a Docker engine trusts for `host`."""
    return f"/etc/docker/certs.d/{host}/ca.crt"


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Split a reference into name, tag and digest, without checking them."""
    if not text:
        raise InvalidImageRefError("the image reference is empty")
    if len(text) > _MAX_REF_LENGTH:
        raise InvalidImageRefError(
            f"the image reference {excerpt(text)} has {len(text)} characters, which is too many"
        )
    # A bare id would be read as the name of an image on Docker Hub.
    if _IMAGE_ID.fullmatch(text):
        raise InvalidImageRefError(
            f"{excerpt(text)} is the id of an image, not its name; give HOST/PATH:TAG"
        )
    # A colon before the last slash belongs to a port.
    name, at, digest = text.partition("@")
    head, slash, tail = name.rpartition("/")
    last, colon, tag = tail.partition(":")
    return head + slash + last, tag if colon else None, digest if at else None


@lru_cache(maxsize=1024)
def _parse_name(name: str) -> ImageName:
    first, slash, rest = name.partition("/")
    # The rule of `docker pull`, except that an upper-case letter does not make it a host:
    # `Acme/app` is a typing error, and hosts have no case.
    if slash and ("." in first or ":" in first or first.lower() == "localhost"):
        host, path = _parse_registry_host(first), rest
    else:
        host, path = DOCKER_HUB, name
    if is_docker_hub(host):
        host = DOCKER_HUB
        path = path if "/" in path else f"library/{path}"
    for part in path.split("/"):
        if not _PATH_PART.fullmatch(part):
            hint = (
                "; repository names are lower-case"
                if part != part.lower() and _PATH_PART.fullmatch(part.lower())
                else ""
            )
            raise InvalidImageRefError(
                f"{excerpt(part)} in {excerpt(name)} is not a valid part of an image name{hint}"
            )
    # As in the `reference` package: the limit is for host and path together.
    if len(host) + 1 + len(path) > MAX_NAME_LENGTH:
        raise InvalidImageRefError(
            f"the image name {excerpt(name)} is longer than {MAX_NAME_LENGTH} characters "
            "with its host"
        )
    return ImageName(host, path)


def _parse_registry_host(text: str) -> str:
    # Checked before it is lowered: lower() turns the Kelvin sign into a k.
    if not _REGISTRY_HOST.fullmatch(text):
        hint = "; leave out the scheme" if text in ("http:", "https:") else ""
        raise InvalidImageRefError(f"{excerpt(text)} is not a registry host{hint}")
    port = _PORT_SUFFIX.search(text)
    if port and not 0 < int(port[1]) <= HIGHEST_PORT:
        raise InvalidImageRefError(
            f"the port of {excerpt(text)} is not between 1 and {HIGHEST_PORT}"
        )
    return text.lower()
