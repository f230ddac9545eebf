"""Amazon's Elastic Container Registry as CloudEvents (by an input transformer of EventBridge)."""

from tagboat.core.errors import InvalidImageRefError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    at,
    shown,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.cloud_event import attribute, data_of, event_type
from tagboat.webhook.formats.ecr import ecr_host
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "ecr-cloudevents"
MARK = "Ce-Type"
_ECR_PUSH = "com.amazon.ecr.image.push"
# urn:aws:ecr:REGION:ACCOUNT:repository/NAME, or arn:…; the repository is in the data.
_URN_PARTS = 5


def recognises(call: Call) -> bool:
    """Return whether it is a CloudEvent of this registry."""
    return event_type(call).startswith("com.amazon.ecr.")


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    if event_type(call) != _ECR_PUSH:
        return ParsedNotification((), f"the event {shown(event_type(call))} is not {_ECR_PUSH}")
    data = data_of(call)
    path = text_at(data, "repositoryName")
    source = attribute(call, "source")
    parts = source.split(":")
    if len(parts) < _URN_PARTS or parts[2] != "ecr":
        reason = f"the source {shown(source)} is not urn:aws:ecr:REGION:ACCOUNT:repository/NAME"
        return read_one(call, SkippedImage(printable(path), reason))
    region, account = parts[3:5]
    if at(data, "registryId") is not None:
        account = text_at(data, "registryId")
    try:
        host = ecr_host(account, region)
    except InvalidImageRefError as error:
        return read_one(call, SkippedImage(printable(path), str(error)))
    tag = tag_at(data, "imageTag")
    if not tag:
        # The subject may be REPOSITORY:TAG. Other subjects have colons too.
        head, _, last = attribute(call, "subject").rpartition(":")
        tag = last if head and head == path else ""
    return read_one(call, AnnouncedImage(host, path, tag, digest=at(data, "imageDigest")))
