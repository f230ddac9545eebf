"""Reading the body of a call: capped, decoded, an object or an array."""

import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

MAX_BYTES = 1 << 20
FORM = "application/x-www-form-urlencoded"
_MAX_FORM_FIELDS = 20
_decode = msgspec.json.Decoder().decode
_GZIP = frozenset({"gzip", "x-gzip"})
_AS_IT_IS = frozenset({"", "identity"})
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 64

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLargeError(Exception):
    """The body is over `MAX_BYTES`."""


class UnknownCodingError(Exception):
    """The body is in a coding (`Content-Encoding`) that is not understood; the text names it."""


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


def unpack(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return what `body` is once its `Content-Encoding` is undone; no more than `MAX_BYTES` are ever unpacked.

    Raises TooLargeError where it is more, UnknownCodingError for any coding but gzip, InvalidValueError where it is not gzip.
    """
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in _AS_IT_IS:
        return body
    if coding not in _GZIP:
        raise UnknownCodingError(
            f"the body is in the Content-Encoding {excerpt(coding)}; send it in gzip, or without one ('identity')"
        )
    whole = b""
    for _ in range(_MOST_MEMBERS):  # a file of gzip may have several members
        member = zlib.decompressobj(_GZIP_FORMAT)
        try:
            whole += member.decompress(body, MAX_BYTES + 1 - len(whole))
        except zlib.error:
            raise InvalidValueError(
                "the body is not gzip, though its Content-Encoding says so"
            ) from None
        if len(whole) > MAX_BYTES:
            raise TooLargeError
        if not member.eof:
            raise InvalidValueError("the body's gzip is cut short")
        body = member.unused_data
        if not body:
            return whole
    raise InvalidValueError(f"the body's gzip has more than {_MOST_MEMBERS} members")


def decode_body(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | list[Any]:
    """Decode a JSON object or array, sent as it is or as the form field `payload`; raise InvalidValueError for anything else.

    An array is some senders' way to send events; which, the formats know.
    """
    if _is_form(headers, body):
        body = _form_payload(body)
    if not body.strip():
        raise InvalidValueError("the body is not JSON: it is empty")
    try:
        value = _decoded(
            body.removeprefix(BOM_UTF8)
        )  # Windows writes one; RFC 8259, section 8.1, lets a reader ignore it
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidValueError("the body is nested too deeply") from None
    if not isinstance(value, dict | list):
        raise InvalidValueError(f"the body is JSON, but not an object: {_kind(value)}")
    return value


def _decoded(text: bytes) -> object:
    """Decode JSON. Half a surrogate pair and numbers beyond any range are JSON too (RFC 8259, sections 6 and 8.2).

    The quick decoder refuses those; they stand in fields that nobody reads, where they must not cost the push.
    """
    try:
        return _decode(text)
    except msgspec.DecodeError:
        try:
            return json.loads(text.decode(), parse_int=float, parse_constant=_refuse)
        except ValueError:
            pass
        raise


def _refuse(constant: str) -> None:
    raise ValueError(constant)


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
        fields = dict(
            parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_MAX_FORM_FIELDS)
        )
    except ValueError:
        raise InvalidValueError("the body is not a form, though its content type says so") from None
    if "payload" not in fields:
        raise InvalidValueError("the form has no field payload")
    return fields["payload"].encode()


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
