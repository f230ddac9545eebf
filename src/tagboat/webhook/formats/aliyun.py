"""Alibaba Cloud's Container Registry (Aliyun): Docker Hub's format plus region and digest."""

import re

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

NAME = "aliyun"
MARK = "push_data"
_ALIYUN_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def recognises(call: Call) -> bool:
    """Return whether it has `push_data` and a repository in a region."""
    return "push_data" in call.body and at(call.body, "repository", "region") is not None


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field is missing."""
    body = call.body
    region = text_at(body, "repository", "region")
    path = text_at(body, "repository", "repo_full_name").lower()
    if not _ALIYUN_REGION.fullmatch(region):
        reason = f"repository.region {shown(region)} is not a region such as 'cn-hangzhou'"
        return read_one(call, SkippedImage(printable(path), reason))
    image = AnnouncedImage(
        host=f"registry.{region}.aliyuncs.com",
        path=path,
        tag=tag_at(body, "push_data", "tag"),
        digest=at(body, "push_data", "digest"),
    )
    return read_one(call, image)
