"""The CNCF Distribution registry (and GitLab's self-managed one): an envelope of events, one for every blob and manifest."""

from collections.abc import Iterator
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import Digest, ImageRef, parse_digest, parse_image_name, parse_tag
from tagboat.webhook.formats.call import Call, News, host_of, text_at

NAME = "distribution"
_MEDIA_TYPES = (
    "application/vnd.docker.distribution.events.v1+json",
    "application/vnd.docker.distribution.events.v2+json",
)


def recognises(call: Call) -> bool:
    """Whether it bears the media type of either major version, or is an envelope of events."""
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type in _MEDIA_TYPES or (isinstance(call.body.get("events"), list) and "image" not in call.body)


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when it names tags but no usable image among them."""
    events = call.body.get("events")
    if not isinstance(events, list):
        raise InvalidValueError("events must be a list, and is missing or something else")
    images: list[ImageRef] = []
    faults: list[str] = []
    for place, event in _tagged_pushes(events):
        try:
            images.append(_image(event))
        except InvalidValueError as error:
            faults.append(f"events[{place}]: {error}")
    if faults and not images:
        raise InvalidValueError(faults[0])
    return News(tuple(images), None if images else "no event is the push of a tag")


def _tagged_pushes(events: list[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, event in enumerate(events):
        if not isinstance(event, dict):
            raise InvalidValueError(f"events[{place}] is not an object")
        target = event.get("target")
        if event.get("action") == "push" and isinstance(target, dict) and target.get("tag"):
            yield place, event


def _image(event: dict[str, Any]) -> ImageRef:
    request = event.get("request")
    host = request.get("host") if isinstance(request, dict) else None
    if not isinstance(host, str) or not host:
        host = host_of(text_at(event, "target", "url"))
    name = parse_image_name(f"{host}/{text_at(event, 'target', 'repository')}")
    return ImageRef(name, parse_tag(text_at(event, "target", "tag")), _digest(event["target"].get("digest")))


def _digest(value: object) -> Digest | None:
    """A digest that is none is dropped: the tag is the news."""
    try:
        return parse_digest(value) if isinstance(value, str) else None
    except InvalidValueError:
        return None
