"""Azure Container Registry's own webhook: one Distribution event without an envelope."""

from tagboat.webhook.formats.call import Call, ParsedNotification
from tagboat.webhook.formats.image_rules import read_one
from tagboat.webhook.formats.manifest_event import read_event

NAME = "acr"
MARK = "action with target and request"
_AGENT = "AzureContainerRegistry/"


def recognises(call: Call) -> bool:
    """Return whether the body is such an event or a ping, or the call comes from Azure's agent."""
    body = call.body
    if "action" not in body:
        return False
    # A ping has neither target nor request.
    if ("target" in body and "request" in body) or (
        body["action"] == "ping" and "timestamp" in body
    ):
        return True
    return call.headers.get("user-agent", "").startswith(_AGENT)


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a push is missing."""
    return read_one(call, read_event(call.body))
