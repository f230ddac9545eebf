"""GitHub's container registry: the events `package` and `registry_package`, which are drawn alike.

Whether a package is a container image is told by `container_metadata` alone: `package_type` and `ecosystem` may say
two things at once.
"""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageName, ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    Call,
    News,
    at,
    read_one,
    repository_at,
    shown,
    split_repository,
    text_at,
    usable_digest,
    why_no_image,
)

NAME = "ghcr"
MARK = "X-GitHub-Event"
_HOST = "ghcr.io"
_EVENTS = ("package", "registry_package")
_ACTIONS = ("published", "updated")


def recognises(call: Call) -> bool:
    """Whether it bears GitHub's event header. Gitea's calls do too, and are asked for first."""
    return "x-github-event" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when a container package has no usable name."""
    event = call.headers["x-github-event"]
    if event not in _EVENTS:
        return News((), f"the GitHub event {shown(event)} is neither 'package' nor 'registry_package'")
    action = call.body.get("action")
    if action not in _ACTIONS:
        return News((), f"the package was {shown(action)}, neither 'published' nor 'updated'")
    if not isinstance(call.body.get(event), dict):
        raise InvalidValueError(f"{event} must be an object, and is missing or something else")
    return read_one(call.body, lambda body: _image(body, event))


def _image(body: dict[str, Any], event: str) -> ImageRef | str:
    version = at(body, event, "package_version")
    tag = at(version, "container_metadata", "tag")
    if tag is None:
        return "it has no container_metadata.tag, and is no container image"
    if reason := why_no_image(at(tag, "name")):
        return reason
    name = _name(body, event, at(version, "package_url"))
    return ImageRef(
        name,
        parse_tag(text_at(body, event, "package_version", "container_metadata", "tag", "name")),
        usable_digest(at(tag, "digest")),
    )


def _name(body: dict[str, Any], event: str, url: object) -> ImageName:
    """The repository, from a URL such as `HOST/OWNER/NAME:TAG`, whose tag or whole may be missing."""
    if isinstance(url, str) and url:
        host, path = split_repository(url)
        return repository_at(host, path.lower())
    owner = text_at(body, event, "namespace") if at(body, event, "namespace") else text_at(body, event, "owner", "login")
    return repository_at(_HOST, f"{owner}/{text_at(body, event, 'name')}".lower())
