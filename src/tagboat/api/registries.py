"""Registries and their test."""

from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import registry_schemas, schemas
from tagboat.api.answers import FieldError, problems
from tagboat.api.etags import Versioned
from tagboat.api.pagination import Page
from tagboat.api.services import Services
from tagboat.api.values import RegistryId
from tagboat.api.views import registry_view
from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import ConflictError, InvalidValueError
from tagboat.core.ids import new_id
from tagboat.core.image import ImageName
from tagboat.core.ports import Reader, Tx
from tagboat.registry.docker_config import login_for

router = APIRouter(prefix="/api/registries", tags=["registries"])


@router.get("", responses=problems(422))
async def list_registries(
    services: Services, page: Page
) -> schemas.PageOut[registry_schemas.RegistryOut]:
    """The registries, in order of name."""

    def read(reader: Reader) -> schemas.PageOut[registry_schemas.RegistryOut]:
        shown, cursor = page.cut(
            reader.registries(page.after, page.with_next), lambda registry: registry.name
        )
        return schemas.PageOut(items=[registry_view(registry) for registry in shown], next=cursor)

    return await services.store.read(read)


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(409, 413, 422))
async def create_registry(
    services: Services, body: registry_schemas.RegistryCreate
) -> registry_schemas.RegistryOut:
    """Make a registry known. Nothing is asked of it yet."""
    registry = _changed(Registry(id=new_id(), name=body.name, url=body.url, kind=body.kind), body)

    def create(tx: Tx) -> registry_schemas.RegistryOut:
        _check(tx, registry)
        tx.add_registry(registry)
        return registry_view(registry)

    return await services.store.write(create)


@router.get("/{registry_id}", responses=problems(404))
async def get_registry(
    services: Services, version: Versioned, registry_id: RegistryId
) -> registry_schemas.RegistryOut:
    """One registry."""
    registry = await services.store.read(lambda reader: reader.registry(registry_id))
    version.mark(registry)
    return registry_view(registry)


@router.patch("/{registry_id}", responses=problems(404, 409, 412, 413, 422))
async def change_registry(
    services: Services,
    version: Versioned,
    registry_id: RegistryId,
    body: registry_schemas.RegistryUpdate,
) -> registry_schemas.RegistryOut:
    """Change what is given."""

    def change(tx: Tx) -> Registry:
        old = tx.registry(registry_id)
        version.check(old)
        registry = _changed(old, body)
        _check(tx, registry)
        tx.put_registry(registry)
        return registry

    registry = await services.store.write(change)
    version.mark(registry)
    return registry_view(registry)


@router.delete(
    "/{registry_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems(404, 409, 412)
)
async def delete_registry(services: Services, version: Versioned, registry_id: RegistryId) -> None:
    """Delete a registry that no project names."""

    def delete(tx: Tx) -> None:
        registry = tx.registry(registry_id)
        version.check(registry)
        users = [project.name for project in tx.projects() if project.registry_id == registry_id]
        if users:
            raise ConflictError(
                f"the registry {registry.name} is named by these projects: {', '.join(users)}"
            )
        tx.delete_registry(registry_id)

    await services.store.write(delete)


@router.post("/{registry_id}/test", responses=problems(404))
async def check_registry(
    services: Services, registry_id: RegistryId
) -> registry_schemas.RegistryTestOut:
    """Try whether the registry can be reached and takes the credentials."""
    registry, image = await services.store.read(lambda reader: _with_image(reader, registry_id))
    checks = await services.examine(registry, image)
    return registry_schemas.RegistryTestOut(
        ok=all(check.ok for check in checks),
        checks=[
            registry_schemas.CheckOut(name=check.name, ok=check.ok, detail=check.detail)
            for check in checks
        ],
    )


def _with_image(reader: Reader, registry_id: str) -> tuple[Registry, ImageName | None]:
    """The registry, and an image of it that is some project's: many registries do not tell which they have."""
    registry = reader.registry(registry_id)
    for project in reader.projects():
        if registry.id == project.registry_id or (
            project.registry_id is None and registry.host == project.image.host
        ):
            return registry, project.image
    return registry, None


def _changed(
    registry: Registry, body: registry_schemas.RegistryCreate | registry_schemas.RegistryUpdate
) -> Registry:
    """`registry` with what `body` gives. Raises FieldError where its Docker config has no login for the registry."""
    values = body.given()
    docker_config = values.pop("docker_config", None)
    if "password" in values:
        values["password"] = values["password"] or None
    changed = replace(registry, **values)
    if changed.url != registry.url:
        changed = replace(changed, login_service="")
    if changed.kind is RegistryKind.OCI and "/" in changed.url.partition("://")[2]:
        raise FieldError(
            "url",
            "only of the kind gitea it may have a path: every other registry is at the root of its host",
        )
    if docker_config is None:
        return changed
    if values.get("username") or values.get("password"):
        raise FieldError(
            "docker_config", "brings username and password itself: give either it or those"
        )
    try:
        login = login_for(docker_config, changed.host)
    except InvalidValueError as error:
        raise FieldError("docker_config", str(error)) from None
    return replace(changed, username=login.username, password=login.password)


def _check(reader: Reader, registry: Registry) -> None:
    """Raise ConflictError unless `registry` can be saved."""
    for other in reader.registries():
        if other.id != registry.id and other.name == registry.name:
            raise ConflictError(f"there is a registry named {registry.name} already")
        if other.id != registry.id and other.host == registry.host:
            raise ConflictError(f"the registry {other.name} has the host {registry.host} already")
