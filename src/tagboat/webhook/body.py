"""Reading the body of a call: capped, decoded, an object or an array."""

from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tagboat.core.errors import InvalidValueError

MAX_BYTES = 1 << 20
FORM = "application/x-www-form-urlencoded"
_MAX_FORM_FIELDS = 20
_decode = msgspec.json.Decoder().decode

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLargeError(Exception):
    """The body is over `MAX_BYTES`."""


class HungUpError(Exception):
    """The caller went away before the body was whole."""


async def read_body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """Return the body of an ASGI request; raise TooLargeError as soon as it is known to be over 1 MiB."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BYTES:
        raise TooLargeError
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUpError
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BYTES:
            raise TooLargeError
        if not message.get("more_body", False):
            return body


def decode_body(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | list[Any]:
    """Decode a JSON object or array, sent as it is or as the form field `payload`; raise InvalidValueError for anything else.

    An array is some senders' way to send events; which, the formats know.
    """
    if _is_form(headers, body):
        body = _form_payload(body)
    if not body.strip():
        raise InvalidValueError("the body is not JSON: it is empty")
    try:
        value = _decode(body.removeprefix(BOM_UTF8))  # Windows writes one; RFC 8259, section 8.1, lets a reader ignore it
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidValueError("the body is nested too deeply") from None
    if not isinstance(value, dict | list):
        raise InvalidValueError(f"the body is JSON, but not an object: {_kind(value)}")
    return value


def payload_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """The JSON text in a form's field `payload`; the body itself where it is no such form."""
    try:
        return _form_payload(body) if _is_form(headers, body) else body
    except InvalidValueError:
        return body


def _is_form(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is a form, and not JSON under the content type that curl gives whatever it sends."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == FORM and not body.lstrip().startswith((b"{", b"["))


def _form_payload(body: bytes) -> bytes:
    try:
        fields = dict(parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_MAX_FORM_FIELDS))
    except ValueError:
        raise InvalidValueError("the body is not a form, though its content type says so") from None
    if "payload" not in fields:
        raise InvalidValueError("the form has no field payload")
    return fields["payload"].encode()


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
