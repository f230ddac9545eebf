"""Manifests, indexes and image configurations.

OCI image specification 1.1, Docker image manifest v2 schema 2.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from msgspec import Struct

from tagboat.core.commits import REVISION_LABEL, SOURCE_LABEL
from tagboat.core.errors import InvalidImageRefError, NotAnImageError, RegistryProtocolError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import HIGHEST_PORT, Digest, ImageInfo, parse_digest, volume_paths
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
_LAYERS = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.",
    "application/octet-stream",
)
"""What the types of an image's layers begin with."""

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
_OWN_LABELS = "tagboat."
_COMMIT_LABELS = frozenset({REVISION_LABEL, SOURCE_LABEL})
_MAX_LABEL_VALUE = 1024
"""Characters; longer values are ignored."""


class Platform(Struct, frozen=True):
    """Operating system and architecture as Go names them (`linux`, `arm64`)."""

    os: str
    architecture: str


class IndexEntry(Struct, frozen=True):
    """The digest of a manifest or of another index. `platform` is None if it is not stated."""

    digest: Digest
    platform: Platform | None


class Index(Struct, frozen=True):
    """An image for several platforms."""

    entries: tuple[IndexEntry, ...]


class Manifest(Struct, frozen=True):
    """An image for one platform: the digest of its configuration blob."""

    config: Digest


def architecture_of(machine: str) -> str:
    """Translate `platform.machine()` into an architecture as indexes name it."""
    name = machine.lower()
    return _ARCHITECTURES.get(name, name or "amd64")


def digest_of(body: bytes) -> Digest:
    """Return the digest under which a registry stores exactly these bytes."""
    return Digest("sha256:" + hashlib.sha256(body).hexdigest())


def read_digest(text: str | None) -> Digest | None:
    """Parse a digest from a header, None if it is missing or invalid."""
    try:
        return parse_digest((text or "").strip())
    except InvalidImageRefError:
        return None


def verified(body: bytes, digest: Digest | None, what: str) -> bytes:
    """Return `body` if it has the digest, or none is known. Raises RegistryProtocolError."""
    if digest is not None and digest_of(body) != digest:
        raise RegistryProtocolError(
            f"the content of {what} does not match its digest; it was damaged or changed on the way"
        )
    return body


def parse_manifest(body: bytes, source: str) -> Index | Manifest:
    """Parse a manifest or an index, recognised by its shape.

    Raises NotAnImageError naming `source` if it is neither, or states another type;
    RegistryProtocolError if it cannot be parsed.
    """
    decoded = _object(parse_json(body, source))
    entries, config = decoded.get("manifests"), decoded.get("config")
    other_type = decoded.get("artifactType")
    if isinstance(entries, list) and not other_type:
        return Index(tuple(parse_entry(one, source) for one in entries if may_be_image(one)))
    if isinstance(config, dict) and not other_type:
        # Helm charts and others share the shape of a manifest; the config's type differs.
        other_type = _other_type(config, decoded.get("layers"))
        if other_type is None:
            return Manifest(_referred_digest(config, source))
    if other_type:
        raise NotAnImageError(
            f"{source} is not a container image: it is of the type {excerpt(str(other_type))}"
        )
    raise NotAnImageError(
        f"{source} is not a container image: its manifest is of an unknown kind "
        "(schema 1 is not supported)"
    )


def choose(index: Index, architecture: str, source: str) -> IndexEntry:
    """Return the entry for a Linux machine of `architecture`, else the next best.

    Raises NotAnImageError if the index has no image.
    """
    # `unknown/unknown` are build attestations, never images.
    images = [
        entry for entry in index.entries if entry.platform is None or entry.platform.os != "unknown"
    ]
    # Ports, labels and healthcheck are nearly always the same on every platform.
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
    """Parse an image configuration. Invalid fields count as missing.

    `digest` is that of the manifest to which the reference points. Of the labels only Tagboat's
    are kept, and those of the commit.
    """
    decoded = parse_json(body, source)
    if not isinstance(decoded, dict):
        raise RegistryProtocolError(
            f"{source} answered with an image configuration that is not a JSON object"
        )
    config = _object(decoded.get("config"))
    # Other labels may be large, and nothing here reads them.
    labels = {
        name: value
        for name, value in _object(config.get("Labels")).items()
        if isinstance(name, str)
        and (name.startswith(_OWN_LABELS) or name in _COMMIT_LABELS)
        and isinstance(value, str)
        and len(value) <= _MAX_LABEL_VALUE
    }
    test = _object(config.get("Healthcheck")).get("Test")
    kind = test[0] if isinstance(test, list) and test else None
    return ImageInfo(
        digest=digest,
        tcp_ports=exposed_tcp_ports(_object(config.get("ExposedPorts"))),
        labels=MappingProxyType(labels),
        has_healthcheck=isinstance(kind, str) and kind not in {"NONE", ""},
        created=parse_created(decoded.get("created")),
        volumes=volume_paths(_object(config.get("Volumes"))),
        user=user if isinstance(user := config.get("User"), str) else "",
        exposed=tuple(sorted(map(str, _object(config.get("ExposedPorts"))))),
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        healthcheck=_words(test),
        env=_words(config.get("Env")),
    )


def _words(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list) else []
    return tuple(word for word in given if isinstance(word, str))


def _other_type(config: Mapping[str, object], layers: object) -> object:
    """Return the type by which a manifest is that of something else, None for an image's."""
    if _is_other(config.get("mediaType"), _CONFIGS):
        return config["mediaType"]
    # Signatures, attestations and WebAssembly come with the configuration of an image, too.
    types = [one.get("mediaType") for one in _objects(layers)]
    if types and all(isinstance(one, str) and one and not one.startswith(_LAYERS) for one in types):
        return types[0]
    return None


def _objects(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_other(media_type: object, known: Collection[str]) -> bool:
    """Return True for a stated type that is not `known`. Without a type, it may be known."""
    return bool(media_type) and not (isinstance(media_type, str) and media_type in known)


def may_be_image(value: object) -> bool:
    """Return True unless an entry of an index is a layer, a cache, an attestation or artifact."""
    entry = _object(value)
    # An image may state an artifact type as well; artifacts have no platform.
    artifact = bool(entry.get("artifactType")) and not entry.get("platform")
    attached = _REFERENCE_TYPE in _object(entry.get("annotations"))
    return not (artifact or attached or _is_other(entry.get("mediaType"), _MANIFESTS))


def parse_entry(value: object, source: str) -> IndexEntry:
    """Parse an entry of an index. Raises RegistryProtocolError without a digest."""
    entry = _object(value)
    platform = entry.get("platform")
    if not isinstance(platform, dict) or not platform.get("architecture"):
        return IndexEntry(_referred_digest(entry, source), None)
    return IndexEntry(
        _referred_digest(entry, source),
        Platform(str(platform.get("os")), str(platform["architecture"])),
    )


def _referred_digest(descriptor: Mapping[object, object], source: str) -> Digest:
    digest = descriptor.get("digest")
    found = read_digest(digest) if isinstance(digest, str) else None
    if found is None:
        raise RegistryProtocolError(
            f"{source} answered with a manifest that refers to something without a sha256 digest"
        )
    return found


def _object(value: object) -> Mapping[object, object]:
    return value if isinstance(value, dict) else {}


def exposed_tcp_ports(exposed: Iterable[object]) -> tuple[int, ...]:
    """Return the TCP ports of `ExposedPorts` (`80/tcp`, `80`), in order."""
    ports = set()
    for key in exposed:
        number, _, protocol = str(key).partition("/")
        # Compared by length first: thousands of digits take long to parse.
        is_short = number.isascii() and number.isdigit() and len(number) <= len("65535")
        if protocol.lower() in {"", "tcp"} and is_short:
            ports.add(int(number))
    return tuple(sorted(port for port in ports if 0 < port <= HIGHEST_PORT))


def parse_created(value: object) -> datetime | None:
    """Parse the time of a build, in UTC; None if it is missing or invalid."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        # RFC 3339 requires a time zone, which some builders leave out.
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        moment = aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Go's zero time means "not set".
    return moment if moment.year > 1 else None
