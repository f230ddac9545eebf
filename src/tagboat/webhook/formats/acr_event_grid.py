"""Azure Container Registry through Event Grid, in its own schema (always an array) or as CloudEvents.

The handshake of a new subscription is an event too, answered with the code it brings.
"""

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Call, News, shown, text_at
from tagboat.webhook.formats.cloud_event import data_of, event_type
from tagboat.webhook.formats.judge import read_each
from tagboat.webhook.formats.manifest_event import read_event

NAME = "acr-event-grid"
MARK = "eventType"
_REGISTRY = "Microsoft.ContainerRegistry."
_PUSHED = "Microsoft.ContainerRegistry.ImagePushed"
_HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"


def recognises(call: Call) -> bool:
    """Whether it is an event in Event Grid's schema, or a CloudEvent of Azure's registry."""
    return ("eventType" in call.body and "data" in call.body) or event_type(call).startswith(
        _REGISTRY
    )


def read(call: Call) -> News:
    """Read one event; raise InvalidValueError where a field of a push is missing."""
    kind = event_type(call) or call.body.get("eventType")
    if kind == _HANDSHAKE:
        code = text_at(call.body, "data", "validationCode")
        return News(
            (),
            "the handshake of a new Event Grid subscription",
            answer={"validationResponse": code},
        )
    if kind != _PUSHED:
        return News((), f"the event is {shown(kind)}, not {_PUSHED}")
    data = data_of(call)
    if not isinstance(data, dict):
        raise InvalidValueError("data must be an object, and is missing or something else")
    return read_each(call, [("data", data)], read_event, "it is not the push of a tag")
