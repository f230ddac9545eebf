"""CloudEvents 1.0 over HTTP.

The attributes are in the body (structured mode) or in headers (binary mode).
"""

from typing import Any

from tagboat.webhook.formats.call import Call, bytes_in_base64, json_of, media_type, text_at


def is_cloud_event(call: Call) -> bool:
    """Return whether the call is a CloudEvent, in either mode."""
    return "ce-type" in call.headers or "specversion" in call.body


def is_batch(call: Call) -> bool:
    """Return whether it is a batch, which may be empty (CloudEvents JSON format, section 4)."""
    return media_type(call) == "application/cloudevents-batch+json"


def event_type(call: Call) -> str:
    """Return the attribute `type`, empty if the call is not a CloudEvent."""
    # In binary mode the body is data, even where it has a field "type".
    kind = call.headers.get("ce-type")
    if kind is None:
        kind = call.body.get("type") if "specversion" in call.body else ""
    return kind if isinstance(kind, str) else ""


def attribute(call: Call, name: str) -> str:
    """Return any other attribute, empty if it is missing or not a string."""
    value = call.headers.get(f"ce-{name}") if "ce-type" in call.headers else call.body.get(name)
    return value if isinstance(value, str) else ""


def data_of(call: Call) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the event's data, None if it is not JSON; raise InvalidValueError for bad base64."""
    if "ce-type" in call.headers:
        return call.body
    # Some libraries send JSON that they were given as bytes in base64.
    if "data_base64" in call.body:
        return json_of(bytes_in_base64(text_at(call.body, "data_base64"), "data_base64"))
    return call.body.get("data")
