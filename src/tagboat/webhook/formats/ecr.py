"""Amazon's Elastic Container Registry through EventBridge, in EventBridge's own envelope."""

import re

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
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "ecr"
MARK = "detail-type"
_ACCOUNT = re.compile(r"[0-9]+", re.ASCII)
_AWS_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def recognises(call: Call) -> bool:
    """Return whether its source is the registry, in EventBridge's envelope."""
    return call.body.get("source") == "aws.ecr" and "detail-type" in call.body


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    body = call.body
    kind, detail = body["detail-type"], body.get("detail")
    if kind != "ECR Image Action":
        return ParsedNotification((), f"the event is {shown(kind)}, not 'ECR Image Action'")
    action, result = at(detail, "action-type"), at(detail, "result")
    if action != "PUSH":
        return ParsedNotification((), f"the action is {shown(action)}, not 'PUSH'")
    if result == "FAILURE":
        return ParsedNotification((), "the push failed")
    path = text_at(body, "detail", "repository-name")
    try:
        host = ecr_host(text_at(body, "account"), text_at(body, "region"))
    except InvalidImageRefError as error:
        return read_one(call, SkippedImage(printable(path), str(error)))
    image = AnnouncedImage(
        host=host,
        path=path,
        tag=tag_at(body, "detail", "image-tag"),
        digest=at(detail, "image-digest"),
        media_types=(at(detail, "manifest-media-type"), at(detail, "artifact-media-type")),
    )
    return read_one(call, image)


def ecr_host(account: str, region: str) -> str:
    """Return the host of an account's registry; raise InvalidImageRefError for an invalid part."""
    if not _ACCOUNT.fullmatch(account):
        raise InvalidImageRefError(f"the account {shown(account)} is not a number")
    if not _AWS_REGION.fullmatch(region):
        raise InvalidImageRefError(
            f"the region {shown(region)} is not a region such as 'eu-central-1'"
        )
    # The regions in China are a separate cloud with its own domain.
    country = ".cn" if region.startswith("cn-") else ""
    return f"{account}.dkr.ecr.{region}.amazonaws.com{country}"
