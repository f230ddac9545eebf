"""The senders understood at the webhook URL: one module each, pure functions of a call."""

from typing import Protocol

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats import (
    acr,
    acr_event_grid,
    aliyun,
    cloudevents,
    distribution,
    dockerhub,
    ecr,
    ecr_cloudevents,
    ecr_sns,
    gcr,
    ghcr,
    gitea,
    harbor,
    jfrog,
    keel,
    native,
    nexus,
    quay,
    zot,
)
from tagboat.webhook.formats.batch import EventBatch
from tagboat.webhook.formats.call import Call, ParsedNotification
from tagboat.webhook.formats.cloud_event import is_batch


class Format(Protocol):
    """The names in each sender's module.

    `MARK` is the header or field by which the format is recognised, shown to people.
    """

    NAME: str
    MARK: str

    def recognises(self, call: Call) -> bool: ...  # noqa: D102 - see the modules
    def read(self, call: Call) -> ParsedNotification: ...  # noqa: D102 - see the modules


# CloudEvents and Event Grid's, which may come as an array. The one that takes all of them is last.
EVENTS: tuple[Format, ...] = (zot, harbor, acr_event_grid, ecr_cloudevents, cloudevents)

# In the order in which they are tried. Each looks at a few keys only, and few come before `native`.
FORMATS: tuple[Format, ...] = (
    # Recognised by their own header. Gitea sends GitHub's as well.
    gitea,
    ghcr,
    nexus,
    # May have any other field.
    native,
    *EVENTS,
    # Recognised by their fields, the more specific ones first.
    distribution,
    acr,
    quay,
    ecr_sns,
    ecr,
    jfrog,
    aliyun,
    dockerhub,
    gcr,
    # `name` and `tag` are in many bodies that others send.
    keel,
)


def recognise(call: Call) -> Format | EventBatch:
    """Return the format of a call; raise InvalidValueError if no sender has its shape."""
    if isinstance(call.body, list):
        return _recognise_batch(call)
    for candidate in FORMATS:
        if candidate.recognises(call):
            return candidate
    marks = ", ".join(dict.fromkeys(form.MARK for form in FORMATS))
    raise InvalidValueError(
        f"no known sender has this shape; looked for: {marks}. "
        'The simplest call is {"image": "registry/org/app:tag"}'
    )


def _recognise_batch(call: Call) -> EventBatch:
    # In binary mode an array is the data of one event, which no format can use.
    items = call.body if "ce-type" not in call.headers else [{}]
    parts = []
    for place, item in enumerate(items):
        part = Call(call.headers, item, call.registry_host)
        form = next(
            (form for form in EVENTS if isinstance(item, dict) and form.recognises(part)), None
        )
        if form is None:
            raise InvalidValueError(
                f"the body is an array, and item {place} is not an event: "
                "looked for eventType and specversion"
            )
        parts.append((form.NAME, form.read, part))
    if not parts and not is_batch(call):
        raise InvalidValueError("the body is an empty array")
    name = parts[0][0] if parts else cloudevents.NAME
    return EventBatch(name, tuple((read, part) for _, read, part in parts))
