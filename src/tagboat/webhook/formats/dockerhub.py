"""Docker Hub."""

from typing import Any

from tagboat.core.image import DOCKER_HUB, ImageRef, parse_tag
from tagboat.webhook.formats.call import Call, News, at, read_one, repository_at, text_at, why_no_image

NAME = "dockerhub"
MARK = "push_data"


def recognises(call: Call) -> bool:
    """Whether it has `push_data` and a repository by Docker Hub's name for it."""
    return "push_data" in call.body and at(call.body, "repository", "repo_name") is not None


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the image has no usable name."""
    return read_one(call.body, _image)


def _image(body: dict[str, Any]) -> ImageRef | str:
    if reason := why_no_image(at(body, "push_data", "tag")):
        return reason
    name = repository_at(DOCKER_HUB, text_at(body, "repository", "repo_name"))
    return ImageRef(name, parse_tag(text_at(body, "push_data", "tag")))
