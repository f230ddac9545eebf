"""Zot: CloudEvents about images. Zot does not name its host."""

from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    json_of,
    shown,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.cloud_event import data_of, event_type
from tagboat.webhook.formats.image_rules import read_one

NAME = "zot"
MARK = "Ce-Type"
_UPDATED = "zotregistry.image.updated"


def recognises(call: Call) -> bool:
    """Return whether it is a CloudEvent of Zot's."""
    return event_type(call).startswith("zotregistry.")


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where an updated image has no name."""
    if event_type(call) != _UPDATED:
        return ParsedNotification((), f"the event {shown(event_type(call))} is not {_UPDATED}")
    data = data_of(call)
    # The manifest is a JSON text inside the JSON data.
    text = at(data, "manifest")
    manifest = json_of(text) if isinstance(text, str) else None
    image = AnnouncedImage(
        host="",
        path=text_at(data, "name"),
        tag=tag_at(data, "reference"),
        digest=at(data, "digest"),
        media_types=(
            at(data, "mediaType"),
            at(manifest, "config", "mediaType"),
            at(manifest, "artifactType"),
        ),
    )
    return read_one(call, image)
