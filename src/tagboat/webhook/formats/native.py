"""Tagboat's own format: `{"image": "registry/org/app:tag"}`, with `tag` beside it where `image` has none, and `digest`."""

from dataclasses import replace
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_digest, parse_image_ref, parse_tag
from tagboat.webhook.formats.call import Call, News, name_on, shown, text_at
from tagboat.webhook.formats.cloud_event import is_cloud_event

NAME = "native"
MARK = "image"


def recognises(call: Call) -> bool:
    """Whether there is an `image`, in nobody else's drawing: Quay's security events have one, and any CloudEvent may."""
    return "image" in call.body and "docker_url" not in call.body and not is_cloud_event(call)


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the image, the tag or the digest cannot be used."""
    ref = _tagged(call)
    if call.body.get("digest") is None:
        return News((ref,))
    digest = parse_digest(_text(call.body, "digest"))
    if ref.digest is not None and ref.digest != digest:
        raise InvalidValueError("image and digest name two different digests; give one of them")
    return News((replace(ref, digest=digest),))


def _tagged(call: Call) -> ImageRef:
    """Return the image with its tag, which may stand in either field, or in both where they agree."""
    image = text_at(call.body, "image")
    name, at, digest = image.partition("@")
    folders, slash, last = name.rpartition("/")
    bare, colon, _ = last.partition(":")
    tag = _tag(call.body, image_has_one=bool(colon))
    ref = parse_image_ref(f"{name}:{tag}{at}{digest}" if tag and not colon else image)
    if tag and ref.tag != tag:
        raise InvalidValueError(
            f"image has the tag {shown(ref.tag)}, and tag is {shown(tag)}; give one of them"
        )
    if tag or call.registry_host:
        return replace(ref, name=name_on(folders + slash + bare, call.registry_host))
    return ref


def _tag(body: dict[str, Any], *, image_has_one: bool) -> str:
    """Return the field `tag`, empty where it is not given. Null would mean `latest`, which nobody writes so on purpose."""
    if "tag" not in body or (body["tag"] is None and image_has_one):
        return ""
    return parse_tag(_text(body, "tag"))


def _text(body: dict[str, Any], field: str) -> str:
    if body[field] in (None, ""):
        raise InvalidValueError(
            f"{field} is {'null' if body[field] is None else 'empty'}; fill it in, or leave the field out"
        )
    return text_at(body, field)
