"""Sonatype Nexus: repository components. Nexus does not name the host of its repositories."""

from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    at,
    shown,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.image_rules import read_one

NAME = "nexus"
MARK = "X-Nexus-Webhook-Id"
_NEXUS_ACTIONS = ("CREATED", "UPDATED")


def recognises(call: Call) -> bool:
    """Return whether it has Nexus's header."""
    return "x-nexus-webhook-id" in call.headers


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a docker component has no name."""
    kind = call.headers["x-nexus-webhook-id"]
    if kind != "rm:repository:component":
        return ParsedNotification(
            (), f"the Nexus event {shown(kind)} is not 'rm:repository:component'"
        )
    action, form = call.body.get("action"), at(call.body, "component", "format")
    if action not in _NEXUS_ACTIONS:
        return ParsedNotification(
            (), f"the action is {shown(action)}, neither 'CREATED' nor 'UPDATED'"
        )
    if form != "docker":
        return ParsedNotification((), f"the component's format is {shown(form)}, not 'docker'")
    component = AnnouncedImage(
        host="",
        path=text_at(call.body, "component", "name"),
        tag=tag_at(call.body, "component", "version"),
    )
    return read_one(call, component)
