"""Harbor 1 and 2 in their own format, and Harbor 2 as CloudEvents.

An event of one artifact may name several tags.
"""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    list_at,
    shown,
    split_repository,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.cloud_event import data_of, event_type, is_cloud_event
from tagboat.webhook.formats.image_rules import read_each

NAME = "harbor"
MARK = "event_data"
# Harbor 2, Harbor 1, and Harbor 2's CloudEvents.
_PUSHES = ("PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed")


def recognises(call: Call) -> bool:
    """Return whether it has a type and event data, or is a CloudEvent of Harbor's."""
    return ("event_data" in call.body and "type" in call.body) or event_type(call).startswith(
        "harbor."
    )


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where fields of its only resources are missing."""
    cloud = is_cloud_event(call)
    kind = event_type(call) if cloud else call.body.get("type")
    if kind not in _PUSHES:
        return ParsedNotification(
            (), f"the Harbor event is {shown(kind)}, not the push of an artifact"
        )
    data, place = (
        (data_of(call), "data.") if cloud else (call.body.get("event_data"), "event_data.")
    )
    resources = list_at(data, place, "resources")
    full_name = at(data, "repository", "repo_full_name")
    entries = ((f"{place}resources[{index}]", resource) for index, resource in enumerate(resources))

    def image(resource: Any) -> AnnouncedImage:  # noqa: ANN401 - decoded JSON
        if not isinstance(resource, dict):
            raise InvalidValueError("an object is expected")
        # Harbor 1 gives no URL; then the repository is named without its host.
        if isinstance(full_name, str) and full_name and not resource.get("resource_url"):
            host, path = "", full_name
        else:
            host, path = split_repository(text_at(resource, "resource_url"))
        return AnnouncedImage(host, path, tag_at(resource, "tag"), digest=resource.get("digest"))

    return read_each(call, entries, image, "no resource has a tag")
