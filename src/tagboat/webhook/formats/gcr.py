"""Google's Container and Artifact Registry: a Pub/Sub push, with or without its envelope."""

from typing import Any

from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    bytes_in_base64,
    json_of,
    shown,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "gcr"
MARK = "message.data"
_GCR_ACTIONS = ("INSERT", "DELETE")
_OTHER_TOPIC = (
    "the Pub/Sub message is not the registry's; is the subscription one of the topic gcr?"
)


def recognises(call: Call) -> bool:
    """Return whether it is Pub/Sub's envelope, or one of the registry's actions outside of it."""
    message = call.body.get("message")
    envelope = isinstance(message, dict) and (
        "subscription" in call.body or message.get("data") is not None
    )
    return envelope or call.body.get("action") in _GCR_ACTIONS


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where the message is not in base64."""
    message: Any = call.body
    if isinstance(call.body.get("message"), dict):
        data = tag_at(call.body, "message", "data")
        message = json_of(bytes_in_base64(data, "message.data"))
        # Accepted although it is another topic's: Pub/Sub repeats a refused message for days.
        if not isinstance(message, dict) or "action" not in message:
            return ParsedNotification((), _OTHER_TOPIC)
    action = message.get("action")
    if action != "INSERT":
        return ParsedNotification((), f"the action is {shown(action)}, not 'INSERT'")
    digest = message.get("digest")
    reference = digest if isinstance(digest, str) else ""
    if not tag_at(message, "tag"):
        host, _, path = reference.partition("@")[0].partition("/")
        return read_one(call, AnnouncedImage(host=host, path=path, tag=""))
    repository, _, tag = text_at(message, "tag").rpartition(":")
    host, slash, path = repository.partition("/")
    if not slash or "/" in tag:
        reason = f"tag must be HOST/PATH:TAG, but is {shown(message.get('tag'))}"
        return read_one(call, SkippedImage(printable(repository), reason))
    return read_one(call, AnnouncedImage(host, path, tag, digest=reference.rpartition("@")[2]))
