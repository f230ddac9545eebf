"""Quay: an event of a repository. Only a push has `updated_tags`."""

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    split_repository,
    text_at,
)
from tagboat.webhook.formats.image_rules import read_each

NAME = "quay"
MARK = "docker_url"


def recognises(call: Call) -> bool:
    """Return whether it has Quay's `docker_url`."""
    return "docker_url" in call.body


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError if `updated_tags` is not a list of tags."""
    if "updated_tags" not in call.body:
        return ParsedNotification(
            (), "it has no updated_tags, so it is an event of Quay that is not a push"
        )
    tags = call.body["updated_tags"]
    if tags is None:
        tags = []
    # In 2013 they were the keys of an object.
    if not isinstance(tags, list | dict):
        raise InvalidValueError("updated_tags must be a list or an object")
    host, path = split_repository(text_at(call.body, "docker_url"))

    def image(tag: object) -> AnnouncedImage:
        if not isinstance(tag, str | None):
            raise InvalidValueError("a tag must be a string")
        return AnnouncedImage(host=host, path=path, tag=tag or "")

    entries = ((f"updated_tags[{place}]", tag) for place, tag in enumerate(tags))
    return read_each(call, entries, image, "updated_tags names no tag")
