"""Keel's own drawing: `{"name": "HOST/PATH", "tag": "TAG"}`."""

from tagboat.core.errors import InvalidImageRefError
from tagboat.webhook.formats.call import Announced, Call, News, Skipped, name_on, tag_at, text_at
from tagboat.webhook.formats.judge import printable, read_one

NAME = "keel"
MARK = "name with tag"


def recognises(call: Call) -> bool:
    """Whether it has a name and a tag. Much else has, so that everybody else is asked first."""
    return "name" in call.body and "tag" in call.body


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where the name or the tag is no text."""
    return read_one(call, _image(call))


def _image(call: Call) -> Announced | Skipped:
    text, tag = text_at(call.body, "name"), tag_at(call.body, "tag")
    try:
        name = name_on(text, call.registry_host)
    except InvalidImageRefError as error:
        return Skipped(printable(text), str(error))
    return Announced(host=name.host, path=name.path, tag=tag)
