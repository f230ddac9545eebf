"""CloudEvents 1.0 over HTTP: attributes in the body (structured mode), or in headers beside the data (binary mode)."""

from typing import Any

from tagboat.webhook.formats.call import Call


def is_cloud_event(call: Call) -> bool:
    """Whether it is one, in either mode."""
    return "ce-type" in call.headers or "specversion" in call.body


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
    """The event's data."""
    return call.body if "ce-type" in call.headers else call.body.get("data")
