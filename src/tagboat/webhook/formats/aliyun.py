"""Alibaba Cloud's Container Registry (Aliyun): Docker Hub's drawing with a region and a digest."""

import re
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_tag
from tagboat.webhook.formats.call import Call, News, at, read_one, repository_at, shown, text_at, usable_digest, why_no_image

NAME = "aliyun"
MARK = "push_data"
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def recognises(call: Call) -> bool:
    """Whether it has `push_data` and a repository in a region."""
    return "push_data" in call.body and at(call.body, "repository", "region") is not None


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the image has no usable name."""
    return read_one(call.body, _image)


def _image(body: dict[str, Any]) -> ImageRef | str:
    if reason := why_no_image(at(body, "push_data", "tag")):
        return reason
    region = text_at(body, "repository", "region")
    if not _REGION.fullmatch(region):
        raise InvalidValueError(f"repository.region {shown(region)} is not a region such as 'cn-hangzhou'")
    path = text_at(body, "repository", "repo_full_name").lower()
    name = repository_at(f"registry.{region}.aliyuncs.com", path)
    return ImageRef(name, parse_tag(text_at(body, "push_data", "tag")), usable_digest(at(body, "push_data", "digest")))
