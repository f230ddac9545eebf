"""Amazon's Elastic Container Registry as CloudEvents, as an input transformer of EventBridge draws them."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    Call,
    News,
    at,
    read_one,
    repository_at,
    shown,
    text_at,
    usable_digest,
    why_no_image,
)
from tagboat.webhook.formats.cloud_event import attribute, data_of, event_type
from tagboat.webhook.formats.ecr import registry_host

NAME = "ecr-cloudevents"
MARK = "Ce-Type"
_PUSHED = "com.amazon.ecr.image.push"
_URN_PARTS = 5  # urn:aws:ecr:REGION:ACCOUNT:repository/NAME, or arn:…; the repository is in the data


def recognises(call: Call) -> bool:
    """Whether it is a CloudEvent of this registry."""
    return event_type(call).startswith("com.amazon.ecr.")


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when a pushed tag's image has no usable name."""
    if event_type(call) != _PUSHED:
        return News((), f"the event {shown(event_type(call))} is no {_PUSHED}")
    return read_one(call, _image)


def _image(call: Call) -> ImageRef | str:
    data = data_of(call)
    tag = at(data, "imageTag") or _tag_of_subject(call, at(data, "repositoryName"))
    if reason := why_no_image(tag):
        return reason
    if not isinstance(tag, str):
        raise InvalidValueError("imageTag must be a text")
    name = repository_at(_host(data, attribute(call, "source")), text_at(data, "repositoryName"))
    return ImageRef(name, parse_tag(tag), usable_digest(at(data, "imageDigest")))


def _host(data: Any, source: str) -> str:  # noqa: ANN401 - decoded JSON
    parts = source.split(":")
    if len(parts) < _URN_PARTS or parts[2] != "ecr":
        raise InvalidValueError(f"the source {shown(source)} is no urn:aws:ecr:REGION:ACCOUNT:repository/NAME")
    region, account = parts[3:5]
    return registry_host(account if at(data, "registryId") is None else text_at(data, "registryId"), region)


def _tag_of_subject(call: Call, repository: object) -> str | None:
    """The tag of a subject `REPOSITORY:TAG`. Other subjects have colons as well."""
    head, _, tag = attribute(call, "subject").rpartition(":")
    return tag if head and head == repository else None
