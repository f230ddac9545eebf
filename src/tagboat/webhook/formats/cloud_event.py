"""CloudEvents 1.0 over HTTP: attributes in the body (structured mode), or in headers beside the data (binary mode)."""

from typing import Any

from tagboat.webhook.formats.call import Call, bytes_in_base64, json_of, media_type, text_at


def is_cloud_event(call: Call) -> bool:
    """Whether it is one, in either mode."""
    return "ce-type" in call.headers or "specversion" in call.body


def is_batch(call: Call) -> bool:
    """Whether it says that it is a batch of them, which may be an empty one (JSON event format, section 4)."""
    return media_type(call) == "application/cloudevents-batch+json"


def event_type(call: Call) -> str:
    """The attribute `type`, empty for whatever is no CloudEvent. The headers win: then the body is data, whatever it has."""
    kind = call.headers.get("ce-type")
    if kind is None:
        kind = call.body.get("type") if "specversion" in call.body else ""
    return kind if isinstance(kind, str) else ""


def attribute(call: Call, name: str) -> str:
    """Any other attribute, empty where it is missing or no text."""
    value = call.headers.get(f"ce-{name}") if "ce-type" in call.headers else call.body.get(name)
    return value if isinstance(value, str) else ""


def data_of(call: Call) -> Any:  # noqa: ANN401 - decoded JSON
    """The event's data, None where it is no JSON; raise InvalidValueError where it should be in base64 and is not."""
    if "ce-type" in call.headers:
        return call.body
    if (
        "data_base64" in call.body
    ):  # some libraries write whatever they are given as bytes so, JSON too
        return json_of(bytes_in_base64(text_at(call.body, "data_base64"), "data_base64"))
    return call.body.get("data")
