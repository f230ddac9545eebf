"""Docker Hub."""

from typing import Any

from tagboat.core.image import DOCKER_HUB
from tagboat.webhook.formats.call import Announced, Call, News, at, tag_at, text_at
from tagboat.webhook.formats.judge import read_one

NAME = "dockerhub"
MARK = "push_data"


def recognises(call: Call) -> bool:
    """Whether it has `push_data` and a repository by Docker Hub's name for it."""
    return "push_data" in call.body and at(call.body, "repository", "repo_name") is not None


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field is missing."""
    return read_one(call, _image(call.body))


def _image(body: dict[str, Any]) -> Announced:
    return Announced(
        host=DOCKER_HUB,
        path=text_at(body, "repository", "repo_name"),
        tag=tag_at(body, "push_data", "tag"),
        media_types=(at(body, "push_data", "media_type"),),
    )
