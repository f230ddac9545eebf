"""A webhook call as it came, before anybody has looked into it."""

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from tagboat.core.errors import InvalidValueError
from tagboat.core.values import replace
from tagboat.webhook.body import (
    BodyTooLargeError,
    Receive,
    UnknownCodingError,
    read_body,
    unpack,
)

Scope = MutableMapping[str, Any]


class SentCall(Struct, frozen=True):
    """A call: its headers by lower-case name, and the registry that its URL names, if it does.

    `address` is the IP address of its caller, `sent` its body, `body` that decompressed, and
    `error` why the body cannot be read, None where it can.
    """

    headers: Mapping[str, str]
    registry: str | None
    address: str
    sent: bytes = b""
    body: bytes = b""
    error: BodyTooLargeError | UnknownCodingError | InvalidValueError | None = None


async def take_call(scope: Scope, receive: Receive, address: str) -> SentCall:
    """Read the call of a request whose caller has that address. Raises HungUpError."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope.get("query_string", b"").decode("latin-1")
    registry = dict(parse_qsl(query, keep_blank_values=True)).get("registry") if query else None
    call = SentCall(headers, registry, address)
    try:
        sent = await read_body(headers, receive)
        return replace(call, sent=sent, body=unpack(headers, sent))
    except (BodyTooLargeError, UnknownCodingError, InvalidValueError) as error:
        return replace(call, error=error)
