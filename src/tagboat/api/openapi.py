"""The description of the API, as true as we can make it."""

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from tagboat.api import schemas
from tagboat.api.ask import ASK_PATH
from tagboat.api.health import HEALTH_PATH, LIVE_PATH, READY_PATH

OPEN_PATHS = frozenset({HEALTH_PATH, LIVE_PATH, READY_PATH, ASK_PATH})
"""What nobody needs a token for."""
_SUMMARY = "Push an image, and it is live, or the old one still is."

router = APIRouter(include_in_schema=False)


@router.get("/api/openapi.json")
async def get_description(request: Request) -> Response:
    """The OpenAPI 3.1 description of everything under `/api` but the webhook."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return Response(json.dumps(app.openapi_schema), media_type="application/json")


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of `app`'s routes: each with its problems, and the token that nearly all want."""
    document = get_openapi(
        title=app.title, version=app.version, summary=_SUMMARY, routes=app.routes
    )
    document["security"] = [{"token": []}]
    components = document["components"]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    components["schemas"]["Problem"] = schemas.Problem.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    components["schemas"]["FieldProblem"] = components["schemas"]["Problem"].pop("$defs")[
        "FieldProblem"
    ]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in OPEN_PATHS:
                operation["security"] = []
            _drop_unused(operation["responses"])
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    return document


def _drop_unused(responses: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to every route with parameters; what ours answer with is said by themselves."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
