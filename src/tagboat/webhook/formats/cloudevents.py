"""CloudEvents of anybody else. Their type decides: it must speak of a container image's push, whatever the data mentions."""

import re
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Announced, Call, News, at, host_of, shown, without_scheme
from tagboat.webhook.formats.cloud_event import attribute, data_of, event_type, is_cloud_event
from tagboat.webhook.formats.judge import read_one

NAME = "cloudevents"
MARK = "specversion"
_VERSION = re.compile(r"\.v[0-9]+$", re.ASCII)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+", re.ASCII)
_VERBS = frozenset({"push", "pushed", "publish", "published"})


def recognises(call: Call) -> bool:
    """Whether it is a CloudEvent."""
    return is_cloud_event(call)


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    kind = event_type(call)
    if not kind:
        raise InvalidValueError(
            "the CloudEvent's type must be a string, and is missing or something else"
        )
    words = [word.lower() for word in _WORDS.findall(_VERSION.sub("", kind))]
    if "container" not in words or words[-1] not in _VERBS:
        return News(
            (),
            f"the type {shown(kind)} does not speak of a container image's push, as 'container.image.push' does",
        )
    return read_one(call, _image(call))


def _image(call: Call) -> Announced | str:
    data = data_of(call)
    tag = at(data, "tag") or at(data, "imageTag") or ""
    if not isinstance(tag, str):
        raise InvalidValueError("data.tag (or data.imageTag) must be a string")
    host = _host(data, attribute(call, "source"))
    repository = at(data, "repository") or at(data, "repositoryName")
    if not tag and not isinstance(repository, str):
        return "it names no tag"
    if not isinstance(repository, str):
        raise InvalidValueError(
            "data.repository (or data.repositoryName) must be a string, and is missing or something else"
        )
    first, slash, rest = repository.partition("/")
    if slash and (first == host or (not host and ("." in first or ":" in first))):
        host, repository = first, rest
    return Announced(
        host=host,
        path=repository,
        tag=tag,
        digest=at(data, "digest") or at(data, "imageDigest"),
        media_types=(at(data, "mediaType"), at(data, "artifactType")),
    )


def _host(data: Any, source: str) -> str:  # noqa: ANN401 - decoded JSON
    registry = at(data, "registryUrl") or at(data, "registry")
    return (
        without_scheme(registry).partition("/")[0] if isinstance(registry, str) else host_of(source)
    )
