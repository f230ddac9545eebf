"""Google's Container and Artifact Registry: a Pub/Sub push, with its envelope or without."""

from typing import Any

from tagboat.webhook.formats.call import (
    Announced,
    Call,
    News,
    Skipped,
    bytes_in_base64,
    json_of,
    shown,
    tag_at,
    text_at,
)
from tagboat.webhook.formats.judge import printable, read_one

NAME = "gcr"
MARK = "message.data"
_ACTIONS = ("INSERT", "DELETE")
_OTHER_TOPIC = (
    "the Pub/Sub message is not the registry's; is the subscription one of the topic gcr?"
)


def recognises(call: Call) -> bool:
    """Whether it is Pub/Sub's envelope, or one of the registry's two actions outside of it."""
    message = call.body.get("message")
    envelope = isinstance(message, dict) and (
        "subscription" in call.body or message.get("data") is not None
    )
    return envelope or call.body.get("action") in _ACTIONS


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where the message is not in base64."""
    message = _message(call.body)
    return News((), _OTHER_TOPIC) if message is None else read_one(call, _image(message))


def _message(body: dict[str, Any]) -> dict[str, Any] | None:
    """The registry's message; None where it is somebody else's, which Pub/Sub would repeat for days if it were refused."""
    if not isinstance(body.get("message"), dict):
        return body
    decoded = json_of(bytes_in_base64(tag_at(body, "message", "data"), "message.data"))
    return decoded if isinstance(decoded, dict) and "action" in decoded else None


def _image(message: dict[str, Any]) -> Announced | Skipped | str:
    action = message.get("action")
    if action != "INSERT":
        return f"the action is {shown(action)}, not 'INSERT'"
    digest = message.get("digest")
    reference = digest if isinstance(digest, str) else ""
    if not tag_at(message, "tag"):
        host, _, path = reference.partition("@")[0].partition("/")
        return Announced(host=host, path=path, tag="")
    repository, _, tag = text_at(message, "tag").rpartition(":")
    host, slash, path = repository.partition("/")
    if not slash or "/" in tag:
        return Skipped(
            printable(repository), f"tag must be HOST/PATH:TAG, and is {shown(message.get('tag'))}"
        )
    return Announced(host=host, path=path, tag=tag, digest=reference.rpartition("@")[2])
