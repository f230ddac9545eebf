"""Errors over HTTP: `application/problem+json` after RFC 9457, with a type for each kind."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5


class ProblemKind(StrEnum):
    """A kind of problem: the last part of its `type`. Each is documented in docs/problems.md."""

    MALFORMED = "malformed"
    NO_TOKEN = "no-token"  # noqa: S105 - the name of a problem
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too-large"
    UNKNOWN_CODING = "unknown-coding"
    WRONG_HOST = "wrong-host"
    INVALID_VALUE = "invalid-value"
    KEY_REUSED = "key-reused"
    TOO_MANY_CALLS = "too-many-calls"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    DATABASE_UNAVAILABLE = "database-unavailable"
    ENGINE_UNAVAILABLE = "engine-unavailable"

    @property
    def type(self) -> str:
        """The URI reference that stands in the field `type`."""
        return f"/problems/{self.value}"


KIND_OF_STATUS: Mapping[int, ProblemKind] = {
    400: ProblemKind.MALFORMED,
    401: ProblemKind.NO_TOKEN,
    403: ProblemKind.FORBIDDEN,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
    409: ProblemKind.CONFLICT,
    412: ProblemKind.STALE,
    413: ProblemKind.TOO_LARGE,
    415: ProblemKind.UNKNOWN_CODING,
    421: ProblemKind.WRONG_HOST,
    422: ProblemKind.INVALID_VALUE,
    429: ProblemKind.TOO_MANY_CALLS,
    500: ProblemKind.INTERNAL,
    503: ProblemKind.UNAVAILABLE,
}
"""The kind of a problem of which nothing more precise is known than its status."""


def problem(
    status: int,
    detail: str,
    errors: Sequence[Mapping[str, str]] | None = None,
    kind: ProblemKind | None = None,
) -> bytes:
    """Return the body of a problem: `detail` is one sentence, `errors` name fields where given.

    Without `kind` the type follows from `status`; it is `about:blank` for a status without one.
    """
    kind = kind or KIND_OF_STATUS.get(status)
    body: dict[str, object] = {
        "type": kind.type if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        body["errors"] = list(errors)
    return json.dumps(body).encode()


def problem_headers(status: int) -> Mapping[str, str]:
    """Return the headers of a problem except its media type: a 503 may be tried again soon."""
    # In seconds (RFC 9110, section 10.2.3).
    return {"retry-after": str(_RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


async def send_problem(
    send: "Send", status: int, body: bytes, *headers: tuple[bytes, bytes]
) -> None:
    """Answer an ASGI request with the problem `body`, with `headers` in addition to its own."""
    own = ((name.encode(), value.encode()) for name, value in problem_headers(status).items())
    await send_json(send, status, body, *own, *headers, media_type=MEDIA_TYPE)


async def send_json(
    send: "Send",
    status: int,
    body: bytes,
    *more: tuple[bytes, bytes],
    media_type: str = "application/json",
) -> None:
    """Answer an ASGI request with the JSON `body`, and the headers `more` after its own."""
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        *more,
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def not_found(_scope: object, _receive: object, send: "Send") -> None:
    """Answer 404. Every unknown path and every wrong webhook secret gets these same bytes."""
    await send_problem(send, HTTPStatus.NOT_FOUND, _NOT_FOUND)


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
NO_ADDRESS = "There is nothing at this address."
# Made once: a wrong secret must not differ from an unknown path, not in time either.
_NOT_FOUND = problem(HTTPStatus.NOT_FOUND, NO_ADDRESS)
