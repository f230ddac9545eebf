"""Docker Hub's webhook."""

from tagboat.core.image import DOCKER_HUB
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.image_rules import read_one

NAME = "dockerhub"
MARK = "push_data"


def recognises(call: Call) -> bool:
    """Return whether it has `push_data` and Docker Hub's `repo_name`."""
    return "push_data" in call.body and at(call.body, "repository", "repo_name") is not None


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field is missing."""
    body = call.body
    image = AnnouncedImage(
        host=DOCKER_HUB,
        path=text_at(body, "repository", "repo_name"),
        tag=tag_at(body, "push_data", "tag"),
        media_types=(at(body, "push_data", "media_type"),),
    )
    return read_one(call, image)
