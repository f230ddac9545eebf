"""Azure Container Registry's own webhook: one event of the Distribution registry's drawing, without an envelope."""

from tagboat.webhook.formats.call import Call, News
from tagboat.webhook.formats.judge import read_one
from tagboat.webhook.formats.manifest_event import read_event

NAME = "acr"
MARK = "action with target and request"
_AGENT = "AzureContainerRegistry/"


def recognises(call: Call) -> bool:
    """Whether it has an event's three parts, is a ping, which lacks two of them, or comes from Azure's agent."""
    body = call.body
    if "action" not in body:
        return False
    if ("target" in body and "request" in body) or (
        body["action"] == "ping" and "timestamp" in body
    ):
        return True
    return call.headers.get("user-agent", "").startswith(_AGENT)


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    return read_one(call, read_event(call.body))
