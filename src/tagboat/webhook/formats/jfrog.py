"""JFrog Artifactory, repositories by path (`HOST/REPOSITORY/IMAGE:TAG`)."""

from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    at,
    shown,
    tag_at,
    text_at,
    without_scheme,
)
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "jfrog"
MARK = "domain with event_type"
# The path of an image's manifest ends in /TAG/manifest.json.
_FILE_PARTS = 2


def recognises(call: Call) -> bool:
    """Return whether it has a domain and an event type, or JFrog's header."""
    return (
        "event_type" in call.body and "domain" in call.body
    ) or "x-jfrog-event-auth" in call.headers


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    body = call.body
    domain, event = body.get("domain"), body.get("event_type")
    if domain is not None and domain != "docker":
        return ParsedNotification((), f"the domain is {shown(domain)}, not 'docker'")
    if event != "pushed":
        return ParsedNotification((), f"the event is {shown(event)}, not 'pushed'")
    origin = body.get("jpd_origin")
    repository, file = text_at(body, "data", "repo_key"), text_at(body, "data", "path")
    folders = file.split("/")[:-_FILE_PARTS]
    if not folders:
        reason = f"data.path must be IMAGE/TAG/FILE, but is {shown(file)}"
        return read_one(call, SkippedImage(printable(repository), reason))
    image = AnnouncedImage(
        host=without_scheme(origin).partition("/")[0] if isinstance(origin, str) else "",
        path="/".join([repository, *folders]),
        tag=tag_at(body, "data", "tag"),
        digest=f"sha256:{at(body, 'data', 'sha256')}",
    )
    return read_one(call, image)
