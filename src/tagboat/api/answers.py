"""Errors of the API as `application/problem+json`, and how the routes describe them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tagboat.core.errors import (
    ConflictError,
    EngineError,
    FieldError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    SignInError,
    StoreUnavailableError,
    TagboatError,
    TooManyAttemptsError,
)
from tagboat.http.problem import MEDIA_TYPE, ProblemKind, problem, problem_headers

# A body can have thousands of wrong values, with names of any length: the answer stays short.
_MAX_ERRORS = 20
_MAX_SHOWN = 80
_WRITE_ONLY = frozenset({"secrets", "secret_files"})
_MESSAGES = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": 'must be a list, such as ["a", "b"]',
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "dict_type": 'must be an object, such as {{"NAME": "value"}}',
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least this many entries: {min_length}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    # Mostly the Content-Type is missing, and the body was not read as JSON then.
    "model_attributes_type": (
        "must be a JSON object, sent with the header Content-Type: application/json"
    ),
}
"""Our words for pydantic's errors, by its name for each."""

_NOT_JSON = "the body is not JSON in UTF-8, or is nested too deeply"
_FAULT = "A fault inside Tagboat; the server's log says more."
_EVERYWHERE = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,  # an unknown query parameter
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_MEANINGS = {
    400: "A parameter cannot be read.",
    401: "No token, or an unknown one.",
    403: "The role of the caller does not allow it.",
    404: "There is no such thing.",
    409: "It conflicts with something that exists.",
    412: "It was changed since the `ETag` in `If-Match`.",
    413: "The body is over 1 MiB.",
    422: "A value cannot be used; `errors` says which.",
    429: "Too many attempts; `Retry-After` says when to come back.",
    500: "A fault inside Tagboat.",
    503: "The database or the engine cannot be reached.",
}
_STATUS_OF: Mapping[type[TagboatError], tuple[HTTPStatus, ProblemKind]] = {
    SignInError: (HTTPStatus.UNAUTHORIZED, ProblemKind.NO_TOKEN),
    ForbiddenError: (HTTPStatus.FORBIDDEN, ProblemKind.FORBIDDEN),
    TooManyAttemptsError: (HTTPStatus.TOO_MANY_REQUESTS, ProblemKind.TOO_MANY_CALLS),
    NotFoundError: (HTTPStatus.NOT_FOUND, ProblemKind.NOT_FOUND),
    ConflictError: (HTTPStatus.CONFLICT, ProblemKind.CONFLICT),
    StoreUnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, ProblemKind.DATABASE_UNAVAILABLE),
    EngineError: (HTTPStatus.SERVICE_UNAVAILABLE, ProblemKind.ENGINE_UNAVAILABLE),
}

Responses = dict[int | str, dict[str, Any]]
log = structlog.get_logger("tagboat.api")


class ProblemError(Exception):
    """An answer with this status, detail and kind of problem."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        kind: ProblemKind | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.headers = headers


def problems(*statuses: int) -> Responses:
    """Describe the problems of a route for OpenAPI, in addition to those that any route has."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        int(status): {"description": _MEANINGS[status], "content": {MEDIA_TYPE: schema}}
        for status in sorted({*_EVERYWHERE, *statuses})
    }


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    kind: ProblemKind | None = None,
) -> Response:
    """Return an answer that says what is wrong."""
    return Response(
        problem(status, detail, errors, kind),
        int(status),
        {**problem_headers(status), **(headers or {})},
        MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem."""

    async def invalid_request(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else ()
        return _unprocessable(named_problems(found, getattr(error, "body", None)))

    async def http_error(_request: Request, error: Exception) -> Response:
        # FastAPI's own 400 means that the body could not be decoded.
        if not isinstance(error, HTTPException) or error.status_code == HTTPStatus.BAD_REQUEST:
            return _unprocessable([("body", _NOT_JSON)])
        return problem_response(error.status_code, error.detail, headers=error.headers)

    async def given_problem(_request: Request, error: Exception) -> Response:
        if not isinstance(error, ProblemError):
            return await fault(_request, error)
        return problem_response(error.status, str(error), headers=error.headers, kind=error.kind)

    async def fault(_request: Request, _error: Exception) -> Response:
        # Starlette raises the error again after this answer, and the authentication logs it.
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)

    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ProblemError, given_problem)
    app.add_exception_handler(TagboatError, _domain_error)
    app.add_exception_handler(Exception, fault)


async def _domain_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidValueError):
        field = error.field if isinstance(error, FieldError) else "body"
        return _unprocessable([(field, str(error))])
    headers = {}
    if isinstance(error, TooManyAttemptsError):
        headers["retry-after"] = str(max(1, round(error.wait_s)))
    for type_, (status, kind) in _STATUS_OF.items():
        if isinstance(error, type_):
            return problem_response(status, str(error), headers=headers, kind=kind)
    # Its text is for the log only: an error without a status was not written for callers.
    log.error("unexpected error", action="answer", reason=str(error))
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)


def _unprocessable(found: Sequence[tuple[str, str]]) -> Response:
    errors = [{"field": field, "message": message} for field, message in found]
    if len(found) == 1:
        detail = f"{found[0][0]}: {found[0][1]}"
    else:
        detail = f"{len(found)} values cannot be used: {', '.join(field for field, _ in found)}"
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


def named_problems(
    entries: Sequence[Mapping[str, Any]], body: object = None
) -> list[tuple[str, str]]:
    """Return the first of pydantic's errors as names of fields, each with what is wrong there."""
    return [(_field(entry), _message_of(entry, body)) for entry in entries[:_MAX_ERRORS]]


def _field(entry: Mapping[str, Any]) -> str:
    """Return the dotted name of a place in the body, or of a parameter."""
    place: Sequence[int | str] = entry["loc"]
    if entry["type"] == "json_invalid":
        return str(place[0])  # the rest is a position in the text, not a field
    where = place[1:] if len(place) > 1 else place
    if where[0] in _WRITE_ONLY and where[-1] == "[key]":
        # Somebody may have sent NAME=SECRET in place of a name.
        where = where[:1]
    return ".".join(str(part)[:_MAX_SHOWN] for part in where if part not in {"", "[key]"})


def _message_of(entry: Mapping[str, Any], body: object) -> str:
    match entry["type"]:
        case "value_error":
            return str(entry["ctx"]["error"])
        case "json_invalid":
            # The last part of the place is a position in characters; people count lines.
            before = str(body)[: int(entry["loc"][-1])]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            error = entry["ctx"]["error"]
            return f"the body is not valid JSON (line {line}, column {column}): {error}"
    if (own := _MESSAGES.get(entry["type"])) is not None:
        return own.format_map(entry.get("ctx") or {})
    # A message follows the field and a colon, so it begins in lower case.
    said = str(entry["msg"])
    return said[:1].lower() + said[1:]
