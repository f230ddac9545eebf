"""How the API says no: every error as `application/problem+json`, and how the routes describe that."""

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
    InvalidValueError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.problem import MEDIA_TYPE, problem, problem_headers

_MAX_ERRORS = 20
_SHOWN = 80
_WRITE_ONLY = frozenset({"secrets", "secret_files"})
_WORDS = {
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
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    "model_attributes_type": "must be a JSON object, sent with the header Content-Type: application/json",
}
"""Our words for what pydantic finds, by its name for it."""

_NOT_JSON = "the body is not JSON in UTF-8, or is nested too deeply"
_FAULT = "A fault inside Tagboat; the server's log says more."
_EVERYWHERE = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_MEANINGS = {
    400: "What was asked about cannot be read.",
    401: "No token, or one that is not known.",
    404: "There is no such thing.",
    409: "It clashes with something that exists.",
    413: "The body is over 1 MiB.",
    422: "A value cannot be used; `errors` says which.",
    500: "A fault inside Tagboat.",
    503: "The database or the engine is out of reach.",
}
_STATUS_OF: Mapping[type[TagboatError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineError: HTTPStatus.SERVICE_UNAVAILABLE,
}

Responses = dict[int | str, dict[str, Any]]
log = structlog.get_logger("tagboat.api")


class FieldError(InvalidValueError):
    """A value that is wrong only in the light of others or of what is stored; `field` is its name in the body."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ProblemError(Exception):
    """An answer with this status and detail."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problems(*statuses: int) -> Responses:
    """Describe, for OpenAPI, the problems that a route answers with, besides those that any can."""
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
) -> Response:
    """An answer that says what is wrong."""
    return Response(
        problem(status, detail, errors),
        int(status),
        {**problem_headers(status), **(headers or {})},
        MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem."""
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ProblemError, _said_so)
    app.add_exception_handler(TagboatError, _tagboat_error)
    app.add_exception_handler(Exception, _fault)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return _unprocessable([])
    return _unprocessable(
        [(_field(entry), _message(entry, error.body)) for entry in error.errors()[:_MAX_ERRORS]]
    )


async def _http_error(_request: Request, error: Exception) -> Response:
    """What FastAPI itself objects to. Its 400 means that the body could not be decoded."""
    if not isinstance(error, HTTPException) or error.status_code == HTTPStatus.BAD_REQUEST:
        return _unprocessable([("body", _NOT_JSON)])
    return problem_response(error.status_code, error.detail, headers=error.headers)


async def _said_so(_request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, ProblemError) else HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_response(status, str(error))


async def _tagboat_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidValueError):
        return _unprocessable(
            [(error.field if isinstance(error, FieldError) else "body", str(error))]
        )
    for kind, status in _STATUS_OF.items():
        if isinstance(error, kind):
            return problem_response(status, str(error))
    log.error("unexpected error", action="answer", reason=str(error))
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)


async def _fault(_request: Request, _error: Exception) -> Response:
    """Said to the caller; whoever runs the application logs the error, which goes on to it."""
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)


def _unprocessable(found: Sequence[tuple[str, str]]) -> Response:
    errors = [{"field": field, "message": message} for field, message in found]
    if len(found) == 1:
        detail = f"{found[0][0]}: {found[0][1]}"
    else:
        detail = f"{len(found)} values cannot be used: {', '.join(field for field, _ in found)}"
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


def _place(text: str, offset: int) -> str:
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def _field(entry: Mapping[str, Any]) -> str:
    """The dotted name of a place in the body, or of a parameter."""
    place: Sequence[int | str] = entry["loc"]
    if entry["type"] == "json_invalid":
        return str(place[0])  # what follows is a place in the text, and no field
    where = place[1:] if len(place) > 1 else place
    if where[0] in _WRITE_ONLY and where[-1] == "[key]":
        # Somebody may have sent NAME=SECRET where a name belongs.
        where = where[:1]
    return ".".join(str(part)[:_SHOWN] for part in where if part not in {"", "[key]"})


def _message(entry: Mapping[str, Any], body: object) -> str:
    match entry["type"]:
        case "value_error":
            return str(entry["ctx"]["error"])
        case "json_invalid":
            return f"the body is not valid JSON ({_place(str(body), int(entry['loc'][-1]))}): {entry['ctx']['error']}"
    if (own := _WORDS.get(entry["type"])) is not None:
        return own.format_map(entry.get("ctx") or {})
    said = str(entry["msg"])
    return said[:1].lower() + said[1:]
