"""Zot: CloudEvents about images. It does not say on which host it is."""

from tagboat.core.image import parse_tag
from tagboat.webhook.formats.call import Call, HostlessImage, News, at, shown, text_at, usable_digest, why_no_image
from tagboat.webhook.formats.cloud_event import data_of, event_type

NAME = "zot"
MARK = "Ce-Type"
_UPDATED = "zotregistry.image.updated"


def recognises(call: Call) -> bool:
    """Whether it is a CloudEvent of Zot's."""
    return event_type(call).startswith("zotregistry.")


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when an updated image has no usable name or tag."""
    if event_type(call) != _UPDATED:
        return News((), f"the event {shown(event_type(call))} is no {_UPDATED}")
    data = data_of(call)
    if reason := why_no_image(at(data, "reference")):
        return News((), reason)
    image = HostlessImage(text_at(data, "name"), parse_tag(text_at(data, "reference")), usable_digest(at(data, "digest")))
    return News((), hostless=(image,))
