"""JFrog Artifactory, repositories by path (`HOST/REPOSITORY/IMAGE:TAG`)."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageName, ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    Call,
    News,
    at,
    read_one,
    repository_at,
    shown,
    text_at,
    usable_digest,
    why_no_image,
    without_scheme,
)

NAME = "jfrog"
MARK = "domain with event_type"
_FILE_PARTS = 2  # the path of an image's manifest ends in /TAG/manifest.json


def recognises(call: Call) -> bool:
    """Whether it has a domain and an event type, or bears JFrog's header."""
    return ("event_type" in call.body and "domain" in call.body) or "x-jfrog-event-auth" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when a pushed tag's image has no usable name."""
    return read_one(call.body, _image)


def _image(body: dict[str, Any]) -> ImageRef | str:
    domain, event = body.get("domain"), body.get("event_type")
    if domain is not None and domain != "docker":
        return f"the domain is {shown(domain)}, not 'docker'"
    if event != "pushed":
        return f"the event is {shown(event)}, not 'pushed'"
    if reason := why_no_image(at(body, "data", "tag")):
        return reason
    checksum = at(body, "data", "sha256")
    digest = usable_digest(f"sha256:{checksum}") if isinstance(checksum, str) else None
    return ImageRef(_name(body), parse_tag(text_at(body, "data", "tag")), digest)


def _name(body: dict[str, Any]) -> ImageName:
    host = without_scheme(text_at(body, "jpd_origin")).partition("/")[0]
    path = text_at(body, "data", "path").split("/")[:-_FILE_PARTS]
    if not path:
        raise InvalidValueError("data.path must be IMAGE/TAG/FILE")
    return repository_at(host, "/".join([text_at(body, "data", "repo_key"), *path]))
