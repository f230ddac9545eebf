"""Azure Container Registry through Event Grid, in its own schema (an array) or as CloudEvents.

The handshake of a new subscription is an event too; it is answered with the code it contains.
"""

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Call, ParsedNotification, shown, text_at
from tagboat.webhook.formats.cloud_event import data_of, event_type
from tagboat.webhook.formats.image_rules import read_each
from tagboat.webhook.formats.manifest_event import read_event

NAME = "acr-event-grid"
MARK = "eventType"
_TYPE_PREFIX = "Microsoft.ContainerRegistry."
_IMAGE_PUSHED = "Microsoft.ContainerRegistry.ImagePushed"
_HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"


def recognises(call: Call) -> bool:
    """Return whether it is an event in Event Grid's schema, or a CloudEvent of Azure's registry."""
    return ("eventType" in call.body and "data" in call.body) or event_type(call).startswith(
        _TYPE_PREFIX
    )


def read(call: Call) -> ParsedNotification:
    """Read one event; raise InvalidValueError where a field of a push is missing."""
    kind = event_type(call) or call.body.get("eventType")
    # Event Grid sends no events before it has got its code back.
    if kind == _HANDSHAKE:
        code = text_at(call.body, "data", "validationCode")
        return ParsedNotification(
            (),
            "the handshake of a new Event Grid subscription",
            answer={"validationResponse": code},
        )
    if kind != _IMAGE_PUSHED:
        return ParsedNotification((), f"the event is {shown(kind)}, not {_IMAGE_PUSHED}")
    data = data_of(call)
    if not isinstance(data, dict):
        raise InvalidValueError("data must be an object, but is missing or something else")
    return read_each(call, [("data", data)], read_event, "it is not the push of a tag")
