"""GitHub's container registry: the events `package` and `registry_package`, which are drawn alike.

Whether a package is a container image is told by `container_metadata` alone: `package_type` and `ecosystem` may say
two things at once.
"""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import (
    Announced,
    Call,
    News,
    at,
    shown,
    split_repository,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.judge import read_one

NAME = "ghcr"
MARK = "X-GitHub-Event"
_HOST = "ghcr.io"
_EVENTS = ("package", "registry_package")
_ACTIONS = ("published", "updated")


def recognises(call: Call) -> bool:
    """Whether it bears GitHub's event header. Gitea's calls do too, and are asked for first."""
    return "x-github-event" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a container package is missing."""
    event = call.headers["x-github-event"]
    if event not in _EVENTS:
        return News(
            (), f"the GitHub event {shown(event)} is neither 'package' nor 'registry_package'"
        )
    action = call.body.get("action")
    if action not in _ACTIONS:
        return News((), f"the action is {shown(action)}, neither 'published' nor 'updated'")
    if not isinstance(call.body.get(event), dict):
        raise InvalidValueError(f"{event} must be an object, and is missing or something else")
    return read_one(call, _image(call.body, event))


def _image(body: dict[str, Any], event: str) -> Announced | str:
    version = at(body, event, "package_version")
    metadata = at(version, "container_metadata")
    if at(metadata, "tag") is None:
        return "it has no container_metadata.tag, and is not a container image"
    host, path = _name(body, event, at(version, "package_url"))
    return Announced(
        host=host,
        path=path.lower(),
        tag=tag_at(body, event, "package_version", "container_metadata", "tag", "name"),
        digest=at(metadata, "tag", "digest"),
        media_types=(
            at(metadata, "manifest", "media_type"),
            at(metadata, "manifest", "config", "media_type"),
        ),
    )


def _name(body: dict[str, Any], event: str, url: object) -> tuple[str, str]:
    """Host and path, from a URL such as `HOST/OWNER/NAME:TAG`, whose tag or whole may be missing."""
    if isinstance(url, str) and url:
        return split_repository(url)
    owner = (
        text_at(body, event, "namespace")
        if at(body, event, "namespace")
        else text_at(body, event, "owner", "login")
    )
    return _HOST, f"{owner}/{text_at(body, event, 'name')}"
