"""Quay: an event of a repository. Of all its kinds only a push has `updated_tags`; in 2013 they were an object's keys."""

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Announced, Call, News, split_repository, text_at
from tagboat.webhook.formats.judge import read_each

NAME = "quay"
MARK = "docker_url"


def recognises(call: Call) -> bool:
    """Whether it has Quay's `docker_url`. Its security events have an `image` too, which is none."""
    return "docker_url" in call.body


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where `updated_tags` holds no tags at all, but something else."""
    if "updated_tags" not in call.body:
        return News((), "it has no updated_tags: an event of Quay's that is not a push")
    tags = call.body["updated_tags"]
    if tags is None:
        tags = []
    if not isinstance(tags, list | dict):
        raise InvalidValueError("updated_tags must be a list or an object")
    host, path = split_repository(text_at(call.body, "docker_url"))

    def image(tag: object) -> Announced:
        if not isinstance(tag, str | None):
            raise InvalidValueError("a tag must be a string")
        return Announced(host=host, path=path, tag=tag or "")

    entries = ((f"updated_tags[{place}]", tag) for place, tag in enumerate(tags))
    return read_each(call, entries, image, "updated_tags names no tag")
