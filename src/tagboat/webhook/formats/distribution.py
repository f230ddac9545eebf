"""The CNCF Distribution registry, and GitLab's self-managed one.

A call is an envelope of events, one for each blob and each manifest.
"""

from tagboat.webhook.formats.call import Call, ParsedNotification, list_at, media_type
from tagboat.webhook.formats.image_rules import read_each
from tagboat.webhook.formats.manifest_event import read_event

NAME = "distribution"
MARK = "events"
_MEDIA_TYPES = (
    "application/vnd.docker.distribution.events.v1+json",
    "application/vnd.docker.distribution.events.v2+json",
)


def recognises(call: Call) -> bool:
    """Return whether it has the media type of either version, or is an envelope of events."""
    return isinstance(call.body.get("events"), list) or media_type(call) in _MEDIA_TYPES


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where fields of its only pushes are missing."""
    entries = (
        (f"events[{place}]", event) for place, event in enumerate(list_at(call.body, "", "events"))
    )
    return read_each(call, entries, read_event, "no event is the push of a tag")
