"""Sonatype Nexus: repository components. It does not say on which host its repositories are."""

from tagboat.core.image import parse_tag
from tagboat.webhook.formats.call import Call, HostlessImage, News, at, shown, text_at, why_no_image

NAME = "nexus"
MARK = "X-Nexus-Webhook-Id"
_ACTIONS = ("CREATED", "UPDATED")


def recognises(call: Call) -> bool:
    """Whether it bears Nexus's header."""
    return "x-nexus-webhook-id" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when a docker component has no usable name or version."""
    kind = call.headers["x-nexus-webhook-id"]
    if kind != "rm:repository:component":
        return News((), f"the Nexus event {shown(kind)} is no 'rm:repository:component'")
    action, form = call.body.get("action"), at(call.body, "component", "format")
    if action not in _ACTIONS:
        return News((), f"the component was {shown(action)}, neither 'CREATED' nor 'UPDATED'")
    if form != "docker":
        return News((), f"the component is of the format {shown(form)}, not 'docker'")
    if reason := why_no_image(at(call.body, "component", "version")):
        return News((), reason)
    tag = parse_tag(text_at(call.body, "component", "version"))
    return News((), hostless=(HostlessImage(text_at(call.body, "component", "name"), tag),))
