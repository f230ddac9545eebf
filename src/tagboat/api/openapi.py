"""The OpenAPI document of the API, with a description and an example of each field."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from tagboat.api import delivery_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.ask import ASK_PATH
from tagboat.api.docs_page import CONTENT_SECURITY_POLICY, render_page
from tagboat.api.health import HEALTH_PATH, LIVE_PATH, READY_PATH
from tagboat.api.roles import publish_role

OPEN_PATHS = frozenset({HEALTH_PATH, LIVE_PATH, READY_PATH, ASK_PATH})
"""Paths that need no token."""
_API_SUMMARY = "Push an image, and it is live, or the old one still is."
_SCHEMA_REF = "#/components/schemas/{model}"

router = APIRouter(include_in_schema=False)


@router.get("/api/openapi.json")
async def get_description(request: Request) -> Response:
    """Return the OpenAPI 3.1 document."""
    return Response(json.dumps(_document(request.app)), media_type="application/json")


@router.get("/api/docs")
async def get_docs(request: Request) -> Response:
    """Return the same document as a page, which loads nothing from anywhere."""
    return Response(
        render_page(_document(request.app)),
        media_type="text/html",
        headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY},
    )


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of `app`'s routes and of the webhook."""
    document = get_openapi(
        title=app.title, version=app.version, summary=_API_SUMMARY, routes=app.routes
    )
    document["security"] = [{"token": []}]
    components = document["components"]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    models = components["schemas"]
    # FastAPI does not know them: routes name Problem by reference, the webhook is not its route.
    for model in (schemas.Problem, delivery_schemas.ReceiptOut):
        model_schema = model.model_json_schema(ref_template=_SCHEMA_REF)
        models |= model_schema.pop("$defs", {}) | {model.__name__: model_schema}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in OPEN_PATHS:
                operation["security"] = []
            else:
                publish_role(operation, method)
            # FastAPI adds its own 422 to every route with parameters; ours are declared.
            responses = operation["responses"]
            if "application/json" in responses.get("422", {}).get("content", {}):
                del responses["422"]
            # `If-Match` is left out of the parameters of VersionCheck, which readers share.
            if "412" in responses:
                match = {"name": "If-Match", "in": "header", "schema": {"type": "string"}}
                operation.setdefault("parameters", []).append(match)
            # An answer that is a stream cannot be given again: see IdempotentOrders.
            if operation is operations.get("post") and not path.endswith("/runs"):
                _add_order_headers(operation)
    for name in ("HTTPValidationError", "ValidationError"):
        models.pop(name, None)
    document["paths"]["/api/webhook/{secret}"] = {"post": _webhook_operation()}
    _add_field_docs(document)
    return document


def _document(app: FastAPI) -> dict[str, Any]:
    # Made at the first request, not at the start, and kept: the routes do not change.
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return app.openapi_schema


def _webhook_operation() -> dict[str, Any]:
    """Return the description of the webhook, which is not a route of FastAPI."""
    native = {
        "type": "object",
        "properties": {
            "image": {"type": "string", "format": "image-reference"},
            "tag": {"type": "string"},
            "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        },
        "required": ["image"],
        "examples": [{"image": "git.example.com/acme/shop:v1.4.0"}],
    }
    receipt = {"schema": {"$ref": _SCHEMA_REF.format(model="ReceiptOut")}}
    refused = {
        400: "The body is not in a known format, or names no usable image.",
        404: "The secret is not known.",
        413: "The body is over 1 MiB.",
        415: "The `Content-Encoding` is not known.",
        429: "Too many calls; `Retry-After` says when to come back.",
        503: "The database cannot be reached.",
    }
    problem_content = problems()[503]["content"]
    return {
        "tags": ["webhook"],
        "summary": "Announce pushes",
        "description": (
            "Announce that images were pushed. The body is this native format or that of a known "
            "sender: Gitea, Forgejo, GitHub, GitLab, Docker Hub, Harbor, Quay and others. The "
            "answer comes after the delivery and its deploys are stored."
        ),
        "operationId": "call_webhook",
        "security": [],
        "parameters": [
            {"name": "secret", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "registry", "in": "query", "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": True,
            # The empty schema is any JSON: senders send what they like.
            "content": {"application/json": {"schema": {"anyOf": [native, {}]}}},
        },
        "responses": {
            "200": {"description": "The sender asked for its own answer, such as a validation."},
            "202": {"description": "Accepted.", "content": {"application/json": receipt}},
            **{
                str(status): {"description": meaning, "content": problem_content}
                for status, meaning in refused.items()
            },
        },
    }


def _add_order_headers(operation: dict[str, Any]) -> None:
    """Describe the headers that every POST takes and answers with."""
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "maxLength": 200},
    }
    operation.setdefault("parameters", []).append(key)
    responses = operation["responses"]
    for status, response in problems(409, 422).items():
        responses.setdefault(str(status), response)
    for status in ("201", "202"):
        if status in responses:
            responses[status]["headers"] = {
                "Location": {"description": "Its address.", "schema": {"type": "string"}}
            }


def _add_field_docs(document: dict[str, Any]) -> None:
    import tomllib  # noqa: PLC0415 - only for a look at the document

    docs = tomllib.loads(files("tagboat.api").joinpath("field_docs.toml").read_text())
    fields, parameters = docs["fields"], docs["parameters"]
    for model, name, schema in iter_fields(document):
        # A name means the same in most models; where it does not, the model's own text goes first.
        if doc := fields.get(f"{model}.{name}") or fields.get(name):
            schema.setdefault("description", doc[0])
            schema.setdefault("examples", [doc[1]])
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if found := parameters.get(parameter["name"]):
                    parameter.setdefault("description", found[0])
                    parameter.setdefault("example", found[1])


def iter_fields(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the name of the schema, the name and the schema of each field."""
    for model, schema in document["components"]["schemas"].items():
        for form in (schema, *schema.get("oneOf", ())):
            for name, field in form.get("properties", {}).items():
                yield model, name, field
