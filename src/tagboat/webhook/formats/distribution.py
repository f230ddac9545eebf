"""The CNCF Distribution registry (and GitLab's self-managed one): an envelope of events, one for every blob and manifest."""

from tagboat.webhook.formats.call import Call, News, list_at, media_type
from tagboat.webhook.formats.judge import read_each
from tagboat.webhook.formats.manifest_event import read_event

NAME = "distribution"
MARK = "events"
_MEDIA_TYPES = (
    "application/vnd.docker.distribution.events.v1+json",
    "application/vnd.docker.distribution.events.v2+json",
)


def recognises(call: Call) -> bool:
    """Whether it bears the media type of either major version, or is an envelope of events."""
    return isinstance(call.body.get("events"), list) or media_type(call) in _MEDIA_TYPES


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where fields of its only pushes are missing."""
    entries = (
        (f"events[{place}]", event) for place, event in enumerate(list_at(call.body, "", "events"))
    )
    return read_each(call, entries, read_event, "no event is the push of a tag")
