"""Query parameters: filters by name or id, and the refusal of what no route reads."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Query, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator

from tagboat.core.errors import InvalidValueError
from tagboat.core.naming import parse_name
from tagboat.operations.queries.catalog import StageFilter

# Names begin with a letter or digit, so that nothing is ever called this.
_NO_NAME = "-"


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


class KnownParameters:
    """A dependency of all routes: raises RequestValidationError for parameters that no route takes.

    Routes that answer without a token are left out: to strangers they must not say more than any
    other address, and probes of other programs may send parameters of their own.
    """

    def __init__(self, open_paths: frozenset[str]) -> None:
        self._open_paths = open_paths
        self._by_route: dict[tuple[str, str], frozenset[str]] = {}

    async def __call__(self, request: Request) -> None:
        """Refuse unknown parameters of a request."""
        if not request.scope["query_string"] or request.url.path in self._open_paths:
            return
        route = cast("APIRoute", request.scope["route"])
        # Found once for each route: its parameters, with those of its dependencies, do not change.
        key = (route.path, request.method)
        if key not in self._by_route:
            self._by_route[key] = frozenset(
                field.alias
                for field in get_flat_params(route.dependant)
                if isinstance(field.field_info, params.Query)
            )
        known = self._by_route[key]
        unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
        if unknown:
            raise RequestValidationError([_unknown_parameter(name, known) for name in unknown])


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


def _unknown_parameter(name: str, known: frozenset[str]) -> Mapping[str, object]:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a call with a mistake in it

    near = get_close_matches(name, known, 1)
    hint = (
        f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known)) or 'none'}"
    )
    return {
        "type": "unknown_parameter",
        "loc": ("query", name),
        "msg": f"there is no such parameter; {hint}",
    }
