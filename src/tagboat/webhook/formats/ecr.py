"""Amazon's Elastic Container Registry through EventBridge, in EventBridge's own drawing."""

import re
from typing import Any

from tagboat.core.errors import InvalidImageRefError
from tagboat.webhook.formats.call import Announced, Call, News, Skipped, at, shown, tag_at, text_at
from tagboat.webhook.formats.judge import printable, read_one

NAME = "ecr"
MARK = "detail-type"
_ACCOUNT = re.compile(r"[0-9]+", re.ASCII)
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def recognises(call: Call) -> bool:
    """Whether its source is the registry, in EventBridge's envelope."""
    return call.body.get("source") == "aws.ecr" and "detail-type" in call.body


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    return read_one(call, _image(call.body))


def registry_host(account: str, region: str) -> str:
    """The host of an account's registry; raise InvalidImageRefError when one of the two cannot be what it should be."""
    if not _ACCOUNT.fullmatch(account):
        raise InvalidImageRefError(f"the account {shown(account)} is not a number")
    if not _REGION.fullmatch(region):
        raise InvalidImageRefError(
            f"the region {shown(region)} is not a region such as 'eu-central-1'"
        )
    country = (
        ".cn" if region.startswith("cn-") else ""
    )  # the regions in China are a cloud, and a domain, of their own
    return f"{account}.dkr.ecr.{region}.amazonaws.com{country}"


def _image(body: dict[str, Any]) -> Announced | Skipped | str:
    kind, detail = body["detail-type"], body.get("detail")
    if kind != "ECR Image Action":
        return f"the event is {shown(kind)}, not 'ECR Image Action'"
    action, result = at(detail, "action-type"), at(detail, "result")
    if action != "PUSH":
        return f"the action is {shown(action)}, not 'PUSH'"
    if result == "FAILURE":
        return "the push failed"
    path = text_at(body, "detail", "repository-name")
    try:
        host = registry_host(text_at(body, "account"), text_at(body, "region"))
    except InvalidImageRefError as error:
        return Skipped(printable(path), str(error))
    return Announced(
        host=host,
        path=path,
        tag=tag_at(body, "detail", "image-tag"),
        digest=at(detail, "image-digest"),
        media_types=(at(detail, "manifest-media-type"), at(detail, "artifact-media-type")),
    )
