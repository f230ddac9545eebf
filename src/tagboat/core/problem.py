"""Errors over HTTP: `application/problem+json` after RFC 9457."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
_COME_BACK_S = 5


def problem(status: int, detail: str, errors: Sequence[Mapping[str, str]] | None = None) -> bytes:
    """Return the body of a problem: standard title, `detail` one sentence, `errors` of fields."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        body["errors"] = list(errors)
    return json.dumps(body).encode()


def problem_headers(status: int) -> Mapping[str, str]:
    """Return additional headers of a problem: a temporary one may be retried."""
    return {"retry-after": str(_COME_BACK_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


async def send_problem(
    send: "Send", status: int, body: bytes, *headers: tuple[bytes, bytes]
) -> None:
    """Answer an ASGI request with the problem `body` and additional `headers`."""
    own = ((name.encode(), value.encode()) for name, value in problem_headers(status).items())
    await send_json(send, status, body, *own, *headers, media_type=MEDIA_TYPE)


async def send_json(
    send: "Send",
    status: int,
    body: bytes,
    *more: tuple[bytes, bytes],
    media_type: str = "application/json",
) -> None:
    """Answer an ASGI request with the JSON text `body` and the additional headers `more`."""
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def not_found(_scope: object, _receive: object, send: "Send") -> None:
    """Answer as an ASGI application: the same 404 for unknown addresses and wrong secrets."""
    await send_problem(send, HTTPStatus.NOT_FOUND, _NOT_FOUND)


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
NO_ADDRESS = "There is nothing at this address."
_NOT_FOUND = problem(HTTPStatus.NOT_FOUND, NO_ADDRESS)
