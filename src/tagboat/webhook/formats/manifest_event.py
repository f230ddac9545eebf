"""The event of a manifest in the format of the Distribution registry, which Azure also uses."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import AnnouncedImage, at, host_of, shown, tag_at, text_at

_BLOB = "application/octet-stream"


def read_event(event: Any) -> AnnouncedImage | str:  # noqa: ANN401 - decoded JSON
    """Return what was pushed, or why it is not a manifest.

    Raises InvalidValueError where a field of a push is missing.
    """
    if not isinstance(event, dict):
        raise InvalidValueError("an object is expected")
    action = event.get("action")
    if action != "push":
        return f"its action is {shown(action)}, not 'push'"
    target = event.get("target")
    media_type = at(target, "mediaType")
    tag = tag_at(event, "target", "tag")
    # Layers and configurations are announced too, without a tag.
    if not tag and (
        not isinstance(media_type, str) or media_type == _BLOB or "rootfs" in media_type
    ):
        return "it names no tag"
    host = at(event, "request", "host")
    if not isinstance(host, str) or not host:
        url = at(target, "url")
        host = host_of(url) if isinstance(url, str) else ""
    return AnnouncedImage(
        host=host,
        path=text_at(event, "target", "repository"),
        tag=tag,
        digest=at(target, "digest"),
        media_types=(None if media_type == _BLOB else media_type, at(target, "artifactType")),
    )
