"""CloudEvents of any other sender.

Only the type decides: it must name the push of a container image.
"""

import re

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    host_of,
    shown,
    without_scheme,
)
from tagboat.webhook.formats.cloud_event import attribute, data_of, event_type, is_cloud_event
from tagboat.webhook.formats.image_rules import read_one

NAME = "cloudevents"
MARK = "specversion"
_VERSION_SUFFIX = re.compile(r"\.v[0-9]+$", re.ASCII)
_TYPE_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+", re.ASCII)
_VERBS = frozenset({"push", "pushed", "publish", "published"})


def recognises(call: Call) -> bool:
    """Return whether it is a CloudEvent."""
    return is_cloud_event(call)


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    kind = event_type(call)
    if not kind:
        raise InvalidValueError(
            "the CloudEvent's type must be a string, but is missing or something else"
        )
    words = [word.lower() for word in _TYPE_WORDS.findall(_VERSION_SUFFIX.sub("", kind))]
    if "container" not in words or words[-1] not in _VERBS:
        return ParsedNotification(
            (),
            f"the type {shown(kind)} does not name the push of a container image, "
            "as 'container.image.push' does",
        )
    data = data_of(call)
    tag = at(data, "tag") or at(data, "imageTag") or ""
    if not isinstance(tag, str):
        raise InvalidValueError("data.tag (or data.imageTag) must be a string")
    registry = at(data, "registryUrl") or at(data, "registry")
    source = attribute(call, "source")
    named = isinstance(registry, str)
    host = without_scheme(registry).partition("/")[0] if named else host_of(source)
    repository = at(data, "repository") or at(data, "repositoryName")
    if not isinstance(repository, str):
        # Senders use the same type for blobs and attestations, which have neither.
        if not tag:
            return ParsedNotification((), "it names no tag")
        raise InvalidValueError(
            "data.repository (or data.repositoryName) must be a string, "
            "but is missing or something else"
        )
    first, slash, rest = repository.partition("/")
    if slash and (first == host or (not host and ("." in first or ":" in first))):
        host, repository = first, rest
    image = AnnouncedImage(
        host=host,
        path=repository,
        tag=tag,
        digest=at(data, "digest") or at(data, "imageDigest"),
        media_types=(at(data, "mediaType"), at(data, "artifactType")),
    )
    return read_one(call, image)
