"""Tagboat's own format: `{"image": "registry/org/app:tag", "digest": "sha256:…"}`, the digest optional."""

from dataclasses import replace

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import parse_digest, parse_image_ref
from tagboat.webhook.formats.call import Call, News, text_at
from tagboat.webhook.formats.cloud_event import is_cloud_event

NAME = "native"
MARK = "image"


def recognises(call: Call) -> bool:
    """Whether there is an `image`, in nobody else's drawing: Quay's security events have one, and any CloudEvent may."""
    return "image" in call.body and "docker_url" not in call.body and not is_cloud_event(call)


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the image or the digest cannot be used."""
    ref = parse_image_ref(text_at(call.body, "image"))
    given = call.body.get("digest")
    if given is None:
        return News((ref,))
    digest = parse_digest(text_at(call.body, "digest"))
    if ref.digest is not None and ref.digest != digest:
        raise InvalidValueError("image and digest name two different digests; give one of them")
    return News((replace(ref, digest=digest),))
