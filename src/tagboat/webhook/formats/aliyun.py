"""Alibaba Cloud's Container Registry (Aliyun): Docker Hub's drawing with a region and a digest."""

import re
from typing import Any

from tagboat.webhook.formats.call import Announced, Call, News, Skipped, at, shown, tag_at, text_at
from tagboat.webhook.formats.judge import printable, read_one

NAME = "aliyun"
MARK = "push_data"
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


def recognises(call: Call) -> bool:
    """Whether it has `push_data` and a repository in a region."""
    return "push_data" in call.body and at(call.body, "repository", "region") is not None


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field is missing."""
    return read_one(call, _image(call.body))


def _image(body: dict[str, Any]) -> Announced | Skipped:
    region = text_at(body, "repository", "region")
    path = text_at(body, "repository", "repo_full_name").lower()
    if not _REGION.fullmatch(region):
        return Skipped(
            printable(path),
            f"repository.region {shown(region)} is not a region such as 'cn-hangzhou'",
        )
    return Announced(
        host=f"registry.{region}.aliyuncs.com",
        path=path,
        tag=tag_at(body, "push_data", "tag"),
        digest=at(body, "push_data", "digest"),
    )
