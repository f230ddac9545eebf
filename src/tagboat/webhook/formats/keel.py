"""Keel's own format: `{"name": "HOST/PATH", "tag": "TAG"}`."""

from tagboat.core.errors import InvalidImageRefError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    name_on,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "keel"
MARK = "name with tag"


def recognises(call: Call) -> bool:
    """Return whether it has a name and a tag. Others have both too, so this is tried last."""
    return "name" in call.body and "tag" in call.body


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where the name or the tag is not a string."""
    text, tag = text_at(call.body, "name"), tag_at(call.body, "tag")
    try:
        name = name_on(text, call.registry_host)
    except InvalidImageRefError as error:
        return read_one(call, SkippedImage(printable(text), str(error)))
    return read_one(call, AnnouncedImage(host=name.host, path=name.path, tag=tag))
