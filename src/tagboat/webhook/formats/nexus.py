"""Sonatype Nexus: repository components. It does not say on which host its repositories are."""

from tagboat.webhook.formats.call import Announced, Call, News, at, shown, tag_at, text_at
from tagboat.webhook.formats.judge import read_one

NAME = "nexus"
MARK = "X-Nexus-Webhook-Id"
_ACTIONS = ("CREATED", "UPDATED")


def recognises(call: Call) -> bool:
    """Whether it bears Nexus's header."""
    return "x-nexus-webhook-id" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a docker component has no name."""
    kind = call.headers["x-nexus-webhook-id"]
    if kind != "rm:repository:component":
        return News((), f"the Nexus event {shown(kind)} is not 'rm:repository:component'")
    action, form = call.body.get("action"), at(call.body, "component", "format")
    if action not in _ACTIONS:
        return News((), f"the action is {shown(action)}, neither 'CREATED' nor 'UPDATED'")
    if form != "docker":
        return News((), f"the component's format is {shown(form)}, not 'docker'")
    component = Announced(
        host="",
        path=text_at(call.body, "component", "name"),
        tag=tag_at(call.body, "component", "version"),
    )
    return read_one(call, component)
