"""Keel's own drawing: `{"name": "HOST/PATH", "tag": "TAG"}`."""

from tagboat.core.image import ImageRef, parse_image_name, parse_tag
from tagboat.webhook.formats.call import Call, News, text_at

NAME = "keel"
MARK = "name with tag"


def recognises(call: Call) -> bool:
    """Whether it has a name and a tag. Much else has, so that everybody else is asked first."""
    return "name" in call.body and "tag" in call.body


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the name or the tag cannot be used."""
    return News((ImageRef(parse_image_name(text_at(call.body, "name")), parse_tag(text_at(call.body, "tag"))),))
