"""GitHub's container registry: the events `package` and `registry_package`, which are alike.

Only `container_metadata` shows that a package is a container image: `package_type` and `ecosystem`
may contradict each other.
"""

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    shown,
    split_repository,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.image_rules import read_one

NAME = "ghcr"
MARK = "X-GitHub-Event"
_GHCR = "ghcr.io"
_EVENTS = ("package", "registry_package")
_GITHUB_ACTIONS = ("published", "updated")


def recognises(call: Call) -> bool:
    """Return whether it has GitHub's event header. Gitea sends it too, so Gitea is tried first."""
    return "x-github-event" in call.headers


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a container package is missing."""
    event, body = call.headers["x-github-event"], call.body
    if event not in _EVENTS:
        reason = f"the GitHub event {shown(event)} is neither 'package' nor 'registry_package'"
        return ParsedNotification((), reason)
    action = body.get("action")
    if action not in _GITHUB_ACTIONS:
        return ParsedNotification(
            (), f"the action is {shown(action)}, neither 'published' nor 'updated'"
        )
    if not isinstance(body.get(event), dict):
        raise InvalidValueError(f"{event} must be an object, but is missing or something else")
    version = at(body, event, "package_version")
    metadata = at(version, "container_metadata")
    if at(metadata, "tag") is None:
        return ParsedNotification(
            (), "it has no container_metadata.tag, so it is not a container image"
        )
    url = at(version, "package_url")
    if isinstance(url, str) and url:
        host, path = split_repository(url)
    else:
        by_namespace = at(body, event, "namespace")
        owner = text_at(body, event, *(["namespace"] if by_namespace else ["owner", "login"]))
        host, path = _GHCR, f"{owner}/{text_at(body, event, 'name')}"
    # Owners keep their case in package names; the registry's paths are in lower case.
    image = AnnouncedImage(
        host=host,
        path=path.lower(),
        tag=tag_at(body, event, "package_version", "container_metadata", "tag", "name"),
        digest=at(metadata, "tag", "digest"),
        media_types=(
            at(metadata, "manifest", "media_type"),
            at(metadata, "manifest", "config", "media_type"),
        ),
    )
    return read_one(call, image)
