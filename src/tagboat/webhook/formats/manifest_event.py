"""The event of a manifest as the Distribution registry draws it. Azure's registry took the drawing over."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_tag
from tagboat.webhook.formats.call import at, host_of, repository_at, shown, text_at, usable_digest, why_no_image


def read_event(event: Any) -> ImageRef | str:  # noqa: ANN401 - decoded JSON
    """The image that was pushed, or why it is none; raise InvalidValueError when its name cannot be used."""
    if not isinstance(event, dict):
        raise InvalidValueError("an object is expected")
    action = event.get("action")
    if action != "push":
        return f"its action is {shown(action)}, not 'push'"
    if reason := why_no_image(at(event, "target", "tag")):
        return reason
    host = at(event, "request", "host")
    if not isinstance(host, str) or not host:
        host = host_of(text_at(event, "target", "url"))
    name = repository_at(host, text_at(event, "target", "repository"))
    return ImageRef(name, parse_tag(text_at(event, "target", "tag")), usable_digest(at(event, "target", "digest")))
