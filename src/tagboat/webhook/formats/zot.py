"""Zot: CloudEvents about images. It does not say on which host it is."""

from tagboat.webhook.formats.call import Announced, Call, News, at, json_of, shown, tag_at, text_at
from tagboat.webhook.formats.cloud_event import data_of, event_type
from tagboat.webhook.formats.judge import read_one

NAME = "zot"
MARK = "Ce-Type"
_UPDATED = "zotregistry.image.updated"


def recognises(call: Call) -> bool:
    """Whether it is a CloudEvent of Zot's."""
    return event_type(call).startswith("zotregistry.")


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where an updated image has no name."""
    if event_type(call) != _UPDATED:
        return News((), f"the event {shown(event_type(call))} is not {_UPDATED}")
    data = data_of(call)
    text = at(data, "manifest")
    manifest = json_of(text) if isinstance(text, str) else None
    image = Announced(
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
