"""JFrog Artifactory, repositories by path (`HOST/REPOSITORY/IMAGE:TAG`)."""

from typing import Any

from tagboat.webhook.formats.call import (
    Announced,
    Call,
    News,
    Skipped,
    at,
    shown,
    tag_at,
    text_at,
    without_scheme,
)
from tagboat.webhook.formats.judge import printable, read_one

NAME = "jfrog"
MARK = "domain with event_type"
_FILE_PARTS = 2  # the path of an image's manifest ends in /TAG/manifest.json


def recognises(call: Call) -> bool:
    """Whether it has a domain and an event type, or bears JFrog's header."""
    return (
        "event_type" in call.body and "domain" in call.body
    ) or "x-jfrog-event-auth" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    return read_one(call, _image(call.body))


def _image(body: dict[str, Any]) -> Announced | Skipped | str:
    domain, event = body.get("domain"), body.get("event_type")
    if domain is not None and domain != "docker":
        return f"the domain is {shown(domain)}, not 'docker'"
    if event != "pushed":
        return f"the event is {shown(event)}, not 'pushed'"
    origin = body.get("jpd_origin")
    checksum = at(body, "data", "sha256")
    repository, file = text_at(body, "data", "repo_key"), text_at(body, "data", "path")
    folders = file.split("/")[:-_FILE_PARTS]
    if not folders:
        return Skipped(
            printable(repository), f"data.path must be IMAGE/TAG/FILE, and is {shown(file)}"
        )
    return Announced(
        host=without_scheme(origin).partition("/")[0] if isinstance(origin, str) else "",
        path="/".join([repository, *folders]),
        tag=tag_at(body, "data", "tag"),
        digest=f"sha256:{checksum}",
    )
