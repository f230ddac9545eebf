"""Tagboat's own format: `{"image": "registry/org/app:tag"}`, optionally with `tag` and `digest`."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import parse_digest, parse_image_ref, parse_tag
from tagboat.core.values import replace
from tagboat.webhook.formats.call import Call, ParsedNotification, name_on, shown, text_at
from tagboat.webhook.formats.cloud_event import is_cloud_event

NAME = "native"
MARK = "image"


def recognises(call: Call) -> bool:
    """Return whether there is an `image`, and the call is neither Quay's nor a CloudEvent."""
    return "image" in call.body and "docker_url" not in call.body and not is_cloud_event(call)


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where image, tag or digest are invalid."""
    image = text_at(call.body, "image")
    name, at, digest = image.partition("@")
    folders, slash, last = name.rpartition("/")
    bare, colon, _ = last.partition(":")
    tag = ""
    # A null tag would mean `latest`, which nobody writes like this on purpose.
    if "tag" in call.body and not (call.body["tag"] is None and colon):
        tag = parse_tag(_filled(call.body, "tag"))
    ref = parse_image_ref(f"{name}:{tag}{at}{digest}" if tag and not colon else image)
    if tag and ref.tag != tag:
        raise InvalidValueError(
            f"image has the tag {shown(ref.tag)}, and tag is {shown(tag)}; give one of them"
        )
    # Without a host in the name, the registry that the URL names counts.
    if tag or call.registry_host:
        ref = replace(ref, name=name_on(folders + slash + bare, call.registry_host))
    if call.body.get("digest") is None:
        return ParsedNotification((ref,))
    wanted = parse_digest(_filled(call.body, "digest"))
    if ref.digest is not None and ref.digest != wanted:
        raise InvalidValueError("image and digest name two different digests; give one of them")
    return ParsedNotification((replace(ref, digest=wanted),))


def _filled(body: dict[str, Any], field: str) -> str:
    """Return a field that is given; raise InvalidValueError where it is null or empty."""
    if body[field] in (None, ""):
        found = "null" if body[field] is None else "empty"
        raise InvalidValueError(f"{field} is {found}; fill it in, or leave the field out")
    return text_at(body, field)
