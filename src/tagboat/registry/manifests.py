"""Manifests, indexes and image configurations (OCI image specification 1.1, Docker image manifest v2 schema 2)."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from tagboat.core.errors import InvalidImageRefError, NotAnImageError, RegistryProtocolError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import Digest, ImageInfo, parse_digest, volume_paths
from tagboat.registry.failures import parse_json

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_REFERENCE_TYPE = "vnd.docker.reference.type"
# All four, always: a registry answers 404 for a manifest whose type was not asked for.
ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"

_MANIFESTS = frozenset(ACCEPT.split(", "))
_CONFIGS = frozenset(
    {
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/octet-stream",  # as Docker 1.10 pushed them; engines take it to this day
    }
)

_ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "x86_64": "amd64",
        "aarch64": "arm64",
        "armv7l": "arm",
        "armv6l": "arm",
        "i386": "386",
        "i686": "386",
        "loongarch64": "loong64",
    }
)
_MAX_PORT = 65535
_OWN_LABELS = "tagboat."
_MAX_LABEL = 1024
"""Characters of a label's value that are looked at."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system and architecture, in Go's words (`linux`, `arm64`)."""

    os: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an index: the digest of a manifest or of another index. `platform` is None where it does not say."""

    digest: Digest
    platform: Platform | None


@dataclass(frozen=True, slots=True)
class Index:
    """An image for several platforms."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image for one platform: the digest of its configuration blob."""

    config: Digest


def architecture_of(machine: str) -> str:
    """Translate `platform.machine()` into an architecture as indexes name it."""
    name = machine.lower()
    return _ARCHITECTURES.get(name, name or "amd64")


def digest_of(body: bytes) -> Digest:
    """The digest under which a registry keeps exactly these bytes."""
    return Digest("sha256:" + hashlib.sha256(body).hexdigest())


def read_digest(text: str | None) -> Digest | None:
    """A digest from a header, None if it is missing or is none."""
    try:
        return parse_digest((text or "").strip())
    except InvalidImageRefError:
        return None


def parse_manifest(body: bytes, source: str) -> Index | Manifest:
    """Tell by its shape which of the two a body is.

    Raises NotAnImageError naming `source` if it is neither, or is said to be something else; RegistryProtocolError if it
    cannot be read.
    """
    decoded = _mapping(parse_json(body, source))
    if artifact := decoded.get("artifactType"):
        raise _not_an_image(source, artifact)
    entries, config = decoded.get("manifests"), decoded.get("config")
    if isinstance(entries, list):
        return Index(tuple(_entry(entry, source) for entry in entries if _may_be_image(entry)))
    if isinstance(config, dict):
        if _is_other(config.get("mediaType"), _CONFIGS):
            raise _not_an_image(source, config["mediaType"])
        return Manifest(_digest(config, source))
    raise NotAnImageError(
        f"{source} is not a container image: its manifest is of an unknown kind (schema 1 is not supported)"
    )


def choose(index: Index, architecture: str, source: str) -> Entry:
    """The entry to look at on a Linux machine of `architecture`; raise NotAnImageError if the index has no image.

    What is asked of an image (ports, labels, healthcheck) is the same on every platform as good as always, so another
    platform's entry is better than none. `unknown/unknown` are build attestations, never images.
    """
    images = [
        entry for entry in index.entries if entry.platform is None or entry.platform.os != "unknown"
    ]
    wanted = (Platform("linux", architecture), Platform("linux", "amd64"), None)
    for platform in wanted:
        for entry in images:
            if entry.platform == platform:
                return entry
    linux = [entry for entry in images if entry.platform and entry.platform.os == "linux"]
    for entry in linux or images:
        return entry
    raise NotAnImageError(
        f"{source} is not a container image: it is an index without any image in it"
    )


def parse_config(body: bytes, digest: Digest, source: str) -> ImageInfo:
    """Read an image configuration; `digest` is that of the manifest the reference names. Unusable fields count as absent.

    Of its labels only Tagboat's own are taken.
    """
    decoded = parse_json(body, source)
    if not isinstance(decoded, dict):
        raise RegistryProtocolError(
            f"{source} answered with an image configuration that is not a JSON object"
        )
    config = _mapping(decoded.get("config"))
    labels = {
        str(key): str(value)
        for key, value in _mapping(config.get("Labels")).items()
        if _is_own_label(key, value)
    }
    return ImageInfo(
        digest=digest,
        tcp_ports=_tcp_ports(_mapping(config.get("ExposedPorts"))),
        labels=MappingProxyType(labels),
        has_healthcheck=_has_healthcheck(_mapping(config.get("Healthcheck")).get("Test")),
        created=_created(decoded.get("created")),
        volumes=volume_paths(_mapping(config.get("Volumes"))),
    )


def _is_own_label(name: object, value: object) -> bool:
    own = isinstance(name, str) and name.startswith(_OWN_LABELS)
    return own and isinstance(value, str) and len(value) <= _MAX_LABEL


def _not_an_image(source: str, kind: object) -> NotAnImageError:
    return NotAnImageError(
        f"{source} is not a container image: it is of the type {excerpt(str(kind))}"
    )


def _is_other(media_type: object, known: Collection[str]) -> bool:
    """Whether something is said to be of a type that is none of the `known`. Where nothing is said, it may be one."""
    return bool(media_type) and not (isinstance(media_type, str) and media_type in known)


def _may_be_image(value: object) -> bool:
    """Whether a line of an index can lead to an image: not to a layer or a build's cache, an attestation or an artifact."""
    entry = _mapping(value)
    artifact = bool(entry.get("artifactType")) and not entry.get("platform")
    attached = _REFERENCE_TYPE in _mapping(entry.get("annotations"))
    return not (artifact or attached or _is_other(entry.get("mediaType"), _MANIFESTS))


def _entry(value: object, source: str) -> Entry:
    entry = _mapping(value)
    platform = entry.get("platform")
    if not isinstance(platform, dict) or not platform.get("architecture"):
        return Entry(_digest(entry, source), None)
    return Entry(
        _digest(entry, source), Platform(str(platform.get("os")), str(platform["architecture"]))
    )


def _digest(descriptor: Mapping[object, object], source: str) -> Digest:
    digest = descriptor.get("digest")
    found = read_digest(digest) if isinstance(digest, str) else None
    if found is None:
        raise RegistryProtocolError(
            f"{source} answered with a manifest that refers to something without a sha256 digest"
        )
    return found


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tcp_ports(exposed: Iterable[object]) -> tuple[int, ...]:
    ports = set()
    for key in exposed:
        number, _, protocol = str(key).partition("/")
        if (
            protocol.lower() in {"", "tcp"}
            and number.isascii()
            and number.isdigit()
            and len(number) <= len(str(_MAX_PORT))
        ):
            ports.add(int(number))
    return tuple(sorted(port for port in ports if 0 < port <= _MAX_PORT))


def _has_healthcheck(test: object) -> bool:
    return (
        isinstance(test, list)
        and bool(test)
        and isinstance(test[0], str)
        and test[0] not in {"NONE", ""}
    )


def _created(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        moment = aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Go's zero time stands for "not said".
    return moment if moment.year > 1 else None
