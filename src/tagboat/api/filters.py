"""Query parameters: filters by name or id, and the refusal of mistakes and of what nobody reads."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, cast, get_args, get_origin

from fastapi import Depends, HTTPException, Query, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from msgspec import Struct
from pydantic import AfterValidator

from tagboat.core.errors import InvalidValueError
from tagboat.core.naming import parse_name
from tagboat.operations.queries.catalog import StageFilter

# Names begin with a letter or digit, so that nothing is ever called this.
_NO_NAME = "-"
_ASCII_DIGITS = re.compile("-?[0-9]+", re.ASCII)


def name_or_nothing(text: str) -> str:
    """Return `text`, or a name that nothing has where it cannot be a name or an id."""
    # An id has the form of a name. A text that cannot be a name finds nothing: the database need
    # not see its characters.
    try:
        return parse_name(text)
    except InvalidValueError:
        return _NO_NAME


NameOrId = Annotated[str, AfterValidator(name_or_nothing)]


async def get_stage_filter(
    project: Annotated[
        NameOrId | None, Query(description="Only of the project of this name or id.")
    ] = None,
    stage: Annotated[
        NameOrId | None,
        Query(
            description="Only of the stage of this name or id. Where several projects have a stage"
            " of the name, `project` is needed too."
        ),
    ] = None,
) -> StageFilter:
    """Return the filter that the parameters of a request make."""
    return StageFilter(project, stage)


Only = Annotated[StageFilter, Depends(get_stage_filter)]
"""The parameters `project` and `stage`."""


class RouteParameters(Struct, frozen=True):
    """The names of the query parameters of a route: all, those that are lists, and integers."""

    known: frozenset[str]
    lists: frozenset[str]
    integers: frozenset[str]

    @classmethod
    def of(cls, route: APIRoute) -> "RouteParameters":
        """Return those of a route and of its dependencies."""
        types = {
            field.alias: field.field_info.annotation
            for field in get_flat_params(route.dependant)
            if isinstance(field.field_info, params.Query)
        }
        lists = (name for name, kind in types.items() if get_origin(kind) is list)
        integers = (name for name, kind in types.items() if int in (kind, *get_args(kind)))
        return cls(frozenset(types), frozenset(lists), frozenset(integers))

    def fault(self, name: str, given: Sequence[str]) -> str:
        """Return why the values of a parameter cannot be meant so, empty where they can."""
        if name not in self.known:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a mistaken call

            near = get_close_matches(name, self.known, 1)
            known = ", ".join(sorted(self.known)) or "none"
            hint = f"did you mean {near[0]}?" if near else f"known are: {known}"
            return f"there is no such parameter; {hint}"
        if len(given) > 1 and name not in self.lists:
            return "is given more than once; give one value"
        # Python reads 1_0 as 10, and takes blanks and digits of other scripts.
        if name in self.integers and not all(_ASCII_DIGITS.fullmatch(text) for text in given):
            return "must be a whole number, in digits"
        return ""


class KnownParameters:
    """A dependency of all routes: raises RequestValidationError for a query that is a mistake.

    That is a parameter that the route does not take, one value too many, or a number that is not
    written in digits. Routes that answer without a token are left out: to strangers they must not
    say more than any other address, and probes of other programs may send parameters of their own.
    """

    def __init__(self, open_paths: frozenset[str]) -> None:
        self._open_paths = open_paths
        self._by_route: dict[tuple[str, str], RouteParameters] = {}

    async def __call__(self, request: Request) -> None:
        """Refuse such a query."""
        if not request.scope["query_string"] or request.url.path in self._open_paths:
            return
        route = cast("APIRoute", request.scope["route"])
        # Found once for each route: its parameters, with those of its dependencies, do not change.
        key = (route.path, request.method)
        if key not in self._by_route:
            self._by_route[key] = RouteParameters.of(route)
        wrong = [
            {"type": "query_parameter", "loc": ("query", name), "msg": fault}
            for name in request.query_params
            if (fault := self._by_route[key].fault(name, request.query_params.getlist(name)))
        ]
        if wrong:
            raise RequestValidationError(wrong)


async def refuse_unread_body(request: Request) -> None:
    """Raise RequestValidationError for the fields of a body that the route does not read.

    An empty body, and one without fields, is accepted.
    """
    route = cast("APIRoute", request.scope["route"])
    if request.method in {"GET", "HEAD"} or route.body_field is not None:
        return
    sent = await request.body()
    if not sent.strip():
        return
    try:
        body = json.loads(sent)
    except (ValueError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from error
    if body is not None and not isinstance(body, dict):
        raise RequestValidationError([{"type": "model_attributes_type", "loc": ("body",)}])
    if body:
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("body", name)} for name in body]
        )
