"""The body of a call: size limit, decompression, JSON object or array."""

import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

MAX_CALL_BYTES = 1 << 20
FORM = "application/x-www-form-urlencoded"
# More fields than any sender uses; parsing thousands would be slow.
_MAX_FORM_FIELDS = 20
_decode_fast = msgspec.json.Decoder().decode
_GZIP = frozenset({"gzip", "x-gzip"})
_AS_IT_IS = frozenset({"", "identity"})
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
# A member can be as short as 20 bytes, and each needs a new decompressor.
_MOST_MEMBERS = 64

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyTooLargeError(Exception):
    """The body is over `MAX_CALL_BYTES`."""


class UnknownCodingError(Exception):
    """The body has an unsupported `Content-Encoding`; the text names it."""


class HungUpError(Exception):
    """The caller disconnected before the body was complete."""


async def read_body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """Return the body of an ASGI request; raise BodyTooLargeError as soon as it is over 1 MiB."""
    announced = headers.get("content-length", "")
    # int() of a very long number takes seconds, so only its first digits are read.
    if announced.isdecimal() and int(announced[:20]) > MAX_CALL_BYTES:
        raise BodyTooLargeError
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUpError
        body += bytes(message.get("body", b""))
        if len(body) > MAX_CALL_BYTES:
            raise BodyTooLargeError
        if not message.get("more_body", False):
            return body


def unpack(headers: Mapping[str, str], body: bytes) -> bytes:
    """Undo the `Content-Encoding`; never decompresses more than `MAX_CALL_BYTES`.

    Raises BodyTooLargeError if it is more, UnknownCodingError for any coding except gzip, and
    InvalidValueError if it is not gzip.
    """
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in _AS_IT_IS:
        return body
    if coding not in _GZIP:
        raise UnknownCodingError(
            f"the body has the Content-Encoding {excerpt(coding)}; "
            "send it in gzip, or without one ('identity')"
        )
    whole = b""
    # RFC 1952: a gzip file may have several members.
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(_GZIP_FORMAT)
        try:
            # One byte more than allowed, to notice a body that is too large.
            whole += member.decompress(body, MAX_CALL_BYTES + 1 - len(whole))
        except zlib.error:
            raise InvalidValueError(
                "the body is not gzip, though its Content-Encoding says so"
            ) from None
        if len(whole) > MAX_CALL_BYTES:
            raise BodyTooLargeError
        if not member.eof:
            raise InvalidValueError("the body's gzip is cut short")
        body = member.unused_data
        if not body:
            return whole
    raise InvalidValueError(f"the body's gzip has more than {_MOST_MEMBERS} members")


def decode_body(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | list[Any]:
    """Decode a JSON object or array; raise InvalidValueError for anything else.

    A form is decoded from its field `payload`. Some senders send an array of events.
    """
    if _is_form(headers, body):
        body = _form_payload(body)
    if not body.strip():
        raise InvalidValueError("the body is not JSON: it is empty")
    try:
        # Windows writes a byte order mark, which a reader may ignore (RFC 8259, section 8.1).
        value = _decode_json(body.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidValueError("the body is nested too deeply") from None
    if not isinstance(value, dict | list):
        names = {str: "a string", bool: "a boolean", type(None): "null"}
        kind = names.get(type(value), "a number")
        raise InvalidValueError(f"the body is JSON, but not an object: {kind}")
    return value


def _decode_json(text: bytes) -> object:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return _decode_fast(text)
    except msgspec.DecodeError:
        # Half a surrogate pair and numbers out of range are JSON too (RFC 8259, sections 6 and
        # 8.2). The fast decoder refuses them, but a field that nobody reads must not fail a push.
        try:
            return json.loads(text.decode(), parse_int=float, parse_constant=refuse)
        except ValueError:
            pass
        raise


def payload_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the JSON in a form's field `payload`; the body itself if it is not such a form."""
    try:
        return _form_payload(body) if _is_form(headers, body) else body
    except InvalidValueError:
        return body


def _is_form(headers: Mapping[str, str], body: bytes) -> bool:
    # curl gives this content type to any body, JSON too.
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == FORM and not body.lstrip().startswith((b"{", b"["))


def _form_payload(body: bytes) -> bytes:
    try:
        fields = dict(
            parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_MAX_FORM_FIELDS)
        )
    except ValueError:
        raise InvalidValueError("the body is not a form, though its content type says so") from None
    if "payload" not in fields:
        raise InvalidValueError("the form has no field payload")
    return fields["payload"].encode()
