"""Google's Container and Artifact Registry: a Pub/Sub push, with its envelope or without."""

from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import Digest, ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    Call,
    News,
    at,
    json_in_base64,
    read_one,
    repository_at,
    shown,
    text_at,
    usable_digest,
    why_no_image,
)

NAME = "gcr"
MARK = "message.data"
_ACTIONS = ("INSERT", "DELETE")


def recognises(call: Call) -> bool:
    """Whether it is Pub/Sub's envelope, or one of the registry's two actions outside of it."""
    return at(call.body, "message", "data") is not None or call.body.get("action") in _ACTIONS


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when the message cannot be decoded or the image cannot be used."""
    return read_one(_message(call.body), _image)


def _message(body: dict[str, Any]) -> dict[str, Any]:
    if at(body, "message", "data") is None:
        return body
    decoded = json_in_base64(text_at(body, "message", "data"), "message.data")
    if not isinstance(decoded, dict) or "action" not in decoded:
        raise InvalidValueError('message.data is no message of the registry: it must be an object with an "action"')
    return decoded


def _image(message: dict[str, Any]) -> ImageRef | str:
    action = message.get("action")
    if action != "INSERT":
        return f"the action is {shown(action)}, not 'INSERT'"
    if reason := why_no_image(message.get("tag")):
        return reason
    repository, _, tag = text_at(message, "tag").rpartition(":")
    host, slash, path = repository.partition("/")
    if not slash or "/" in tag:
        raise InvalidValueError(f"tag must be HOST/PATH:TAG, and is {shown(message.get('tag'))}")
    if reason := why_no_image(tag):
        return reason
    return ImageRef(repository_at(host, path), parse_tag(tag), _digest(message.get("digest")))


def _digest(reference: object) -> Digest | None:
    return usable_digest(reference.rpartition("@")[2]) if isinstance(reference, str) else None
