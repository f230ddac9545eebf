"""The senders understood at the webhook URL, one module each: a pure function from a call to its news."""

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
from tagboat.webhook.formats.batch import Batch
from tagboat.webhook.formats.call import Call, News
from tagboat.webhook.formats.cloud_event import is_batch


class Format(Protocol):
    """What each module of a sender has. `MARK` is the header or field by which it is known, for a person to read."""

    NAME: str
    MARK: str

    def recognises(self, call: Call) -> bool: ...  # noqa: D102 - see the modules
    def read(self, call: Call) -> News: ...  # noqa: D102 - see the modules


EVENTS: tuple[Format, ...] = (zot, harbor, acr_event_grid, ecr_cloudevents, cloudevents)
"""CloudEvents and Event Grid's, which may come as an array. The one that takes every CloudEvent is last."""

FORMATS: tuple[Format, ...] = (
    # Known by a header of their own. Gitea sends GitHub's as well.
    gitea,
    ghcr,
    nexus,
    native,  # may have any field beside its own
    *EVENTS,
    # Known by their fields, the more telling first.
    distribution,
    acr,
    quay,
    ecr_sns,
    ecr,
    jfrog,
    aliyun,
    dockerhub,
    gcr,
    keel,  # `name` and `tag` are in much that others send
)
"""In the order in which they are tried. Each looks at a few keys and no further, and hardly any stands before a plain call."""


def recognise(call: Call) -> Format | Batch:
    """The format of a call; raise InvalidValueError naming what was looked for when no sender's shape fits."""
    if isinstance(call.body, list):
        return _batch(call)
    for candidate in FORMATS:
        if candidate.recognises(call):
            return candidate
    marks = ", ".join(dict.fromkeys(form.MARK for form in FORMATS))
    raise InvalidValueError(
        f'no known sender has this shape; looked for: {marks}. The simplest call is {{"image": "registry/org/app:tag"}}'
    )


def _batch(call: Call) -> Batch:
    items = (
        call.body if "ce-type" not in call.headers else [{}]
    )  # there it is the data of one event, of no use to anybody
    parts = []
    for place, item in enumerate(items):
        part = Call(call.headers, item, call.registry_host)
        form = next(
            (form for form in EVENTS if isinstance(item, dict) and form.recognises(part)), None
        )
        if form is None:
            raise InvalidValueError(
                f"the body is an array, and item {place} is not an event: looked for eventType and specversion"
            )
        parts.append((form.NAME, form.read, part))
    if not parts and not is_batch(call):
        raise InvalidValueError("the body is an empty array")
    name = parts[0][0] if parts else cloudevents.NAME
    return Batch(name, tuple((read, part) for _, read, part in parts))
