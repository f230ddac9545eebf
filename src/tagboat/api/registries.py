"""Registries, their test, and the images and tags that they have."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from tagboat.api import registry_schemas, schemas
from tagboat.api.answers import ProblemError, problems
from tagboat.api.etags import Versioned
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import IMAGE_SCHEMA, RegistryId
from tagboat.api.views import show_choice, show_registry
from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import parse_image_name

router = APIRouter(prefix="/api", tags=["registries"])


@router.get("/registries", responses=problems(422))
async def list_registries(
    operations: Ops, page: Page
) -> schemas.PageOut[registry_schemas.RegistryOut]:
    """List the registries, in order of name."""
    found = await operations.catalog.registries(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda registry: registry.name)
    return schemas.PageOut(items=[show_registry(registry) for registry in shown], next=cursor)


@router.post("/registries", status_code=HTTPStatus.CREATED, responses=problems(409, 413, 422))
async def create_registry(
    operations: Ops, body: registry_schemas.RegistryCreate
) -> registry_schemas.RegistryOut:
    """Add a registry, without asking it anything."""
    fields, docker_config = _without_docker_config(body)
    # `given` has what was sent; the kind has a default that the core does not know.
    needed = {"name": body.name, "url": body.url, "kind": body.kind}
    return show_registry(await operations.registries.create(needed | fields, docker_config))


@router.get("/registries/{registry_id}", responses=problems(404))
async def get_registry(
    operations: Ops, version: Versioned, registry_id: RegistryId
) -> registry_schemas.RegistryOut:
    """Return one registry."""
    registry = await operations.catalog.registry(registry_id)
    version.mark(registry)
    return show_registry(registry)


@router.patch("/registries/{registry_id}", responses=problems(404, 409, 412, 413, 422))
async def change_registry(
    operations: Ops,
    version: Versioned,
    registry_id: RegistryId,
    body: registry_schemas.RegistryUpdate,
) -> registry_schemas.RegistryOut:
    """Change the fields given."""
    fields, docker_config = _without_docker_config(body)
    changed = await operations.registries.change(registry_id, fields, docker_config, version.check)
    version.mark(changed)
    return show_registry(changed)


@router.delete(
    "/registries/{registry_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_registry(operations: Ops, version: Versioned, registry_id: RegistryId) -> None:
    """Delete a registry that no project names."""
    await operations.registries.delete(registry_id, version.check)


@router.post("/registries/{registry_id}/test", responses=problems(404))
async def check_registry(
    operations: Ops, registry_id: RegistryId
) -> registry_schemas.RegistryTestOut:
    """Check that the registry can be reached and accepts the credentials."""
    checks = await operations.registries.test(registry_id)
    return registry_schemas.RegistryTestOut(
        ok=all(check.ok for check in checks),
        checks=[
            registry_schemas.CheckOut(name=check.name, ok=check.ok, detail=check.detail)
            for check in checks
        ],
    )


@router.get("/registries/{registry_id}/images", responses=problems(404))
async def list_images(operations: Ops, registry_id: RegistryId) -> registry_schemas.ImageChoicesOut:
    """Ask a registry for the names of its images. Many public ones refuse, as `error` says then."""
    return show_choice(await operations.registries.images(registry_id))


@router.get("/images/tags", responses=problems(400, 422))
async def list_image_tags(
    operations: Ops,
    image: Annotated[
        str,
        Query(
            description="An image without tag, such as git.example.com/acme/app.",
            json_schema_extra=IMAGE_SCHEMA,
        ),
    ],
) -> registry_schemas.ImageChoicesOut:
    """Ask its registry for the tags of an image, of a project or not. Nothing is recorded."""
    try:
        name = parse_image_name(image)
    except InvalidImageRefError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"image: {error}") from None
    return show_choice(await operations.registries.tags(name))


def _without_docker_config(
    body: registry_schemas.RegistryCreate | registry_schemas.RegistryUpdate,
) -> tuple[dict[str, Any], str | None]:
    """Return the fields of the registry that were sent, and the Docker config apart."""
    fields = body.given()
    return fields, fields.pop("docker_config", None)
