"""Amazon's Elastic Container Registry as CloudEvents, as an input transformer of EventBridge draws them."""

from typing import Any

from tagboat.core.errors import InvalidImageRefError
from tagboat.webhook.formats.call import Announced, Call, News, Skipped, at, shown, tag_at, text_at
from tagboat.webhook.formats.cloud_event import attribute, data_of, event_type
from tagboat.webhook.formats.ecr import registry_host
from tagboat.webhook.formats.judge import printable, read_one

NAME = "ecr-cloudevents"
MARK = "Ce-Type"
_PUSHED = "com.amazon.ecr.image.push"
_URN_PARTS = (
    5  # urn:aws:ecr:REGION:ACCOUNT:repository/NAME, or arn:…; the repository is in the data
)


def recognises(call: Call) -> bool:
    """Whether it is a CloudEvent of this registry."""
    return event_type(call).startswith("com.amazon.ecr.")


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    if event_type(call) != _PUSHED:
        return News((), f"the event {shown(event_type(call))} is not {_PUSHED}")
    return read_one(call, _image(call))


def _image(call: Call) -> Announced | Skipped:
    data = data_of(call)
    path = text_at(data, "repositoryName")
    try:
        host = _host(data, attribute(call, "source"))
    except InvalidImageRefError as error:
        return Skipped(printable(path), str(error))
    tag = tag_at(data, "imageTag") or _tag_of_subject(call, path)
    return Announced(host=host, path=path, tag=tag, digest=at(data, "imageDigest"))


def _host(data: Any, source: str) -> str:  # noqa: ANN401 - decoded JSON
    parts = source.split(":")
    if len(parts) < _URN_PARTS or parts[2] != "ecr":
        raise InvalidImageRefError(
            f"the source {shown(source)} is not urn:aws:ecr:REGION:ACCOUNT:repository/NAME"
        )
    region, account = parts[3:5]
    return registry_host(
        account if at(data, "registryId") is None else text_at(data, "registryId"), region
    )


def _tag_of_subject(call: Call, repository: str) -> str:
    """Return the tag of a subject `REPOSITORY:TAG`, else nothing. Other subjects have colons as well."""
    head, _, tag = attribute(call, "subject").rpartition(":")
    return tag if head and head == repository else ""
