"""Registries: making, changing, deleting and testing them, and the images and tags they have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.audit import AuditAction, AuditSubject, changes_between
from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.decision import normal_tag
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    InvalidValueError,
    RegistryError,
    TakenError,
)
from tagboat.core.ids import new_id
from tagboat.core.image import ImageName
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.operations.services import Check, OperationServices, accept


class Choice(Struct, frozen=True):
    """Names to choose from. `whole` is False if there are more.

    On an `error`, in words, nothing is listed.
    """

    items: tuple[str, ...] = ()
    whole: bool = False
    error: str | None = None


class RegistryOperations(Struct, frozen=True):
    """Changes of registries. All raise NotFoundError for a registry that does not exist.

    `docker_config` is the text of a Docker `config.json` that brings the login, None for none.
    """

    services: OperationServices

    async def create(self, fields: Mapping[str, Any], docker_config: str | None) -> Registry:
        """Add a registry, without asking it anything. Raises ConflictError and FieldError."""

        def work(tx: Tx) -> Registry:
            return add_registry(tx, self.services, fields, docker_config)

        return await self.services.store.write(work)

    async def change(
        self,
        registry_id: str,
        fields: Mapping[str, Any],
        docker_config: str | None,
        check: Callable[[Registry], None] = accept,
    ) -> Registry:
        """Change the fields given unless `check` raises. Raises ConflictError and FieldError."""

        def work(tx: Tx) -> Registry:
            old = tx.registry(registry_id)
            check(old)
            return edit_registry(tx, self.services, old, fields, docker_config)

        return await self.services.store.write(work)

    async def delete(self, registry_id: str, check: Callable[[Registry], None] = accept) -> None:
        """Delete a registry, unless `check` raises or a project names it (ConflictError)."""

        def work(tx: Tx) -> None:
            registry = tx.registry(registry_id)
            check(registry)
            # Only those that name it: others find a registry by host, and may do without.
            users = [one.name for one in tx.project_images() if one.registry_id == registry_id]
            if users:
                raise ConflictError(
                    f"the registry {registry.name} is named by these projects: {', '.join(users)}"
                )
            tx.delete_registry(registry_id)
            _record_registry(tx, self.services, AuditAction.REGISTRY_DELETE, registry, None)

        await self.services.store.write(work)

    async def test(self, registry_id: str) -> Sequence[Check]:
        """Check that the registry can be reached and accepts the credentials."""

        def work(reader: Reader) -> tuple[Registry, ImageName | None]:
            registry = reader.registry(registry_id)
            # With an image, since many registries do not list those they have.
            for project in reader.project_images():
                if registry.id == project.registry_id or (
                    project.registry_id is None and registry.host == project.image.host
                ):
                    return registry, project.image
            return registry, None

        registry, image = await self.services.store.read(work)
        return await self.services.examine(registry, image)

    async def images(self, registry_id: str) -> Choice:
        """Ask a registry for the names of its images."""
        registry = await self.services.store.read(lambda reader: reader.registry(registry_id))
        try:
            found = await self.services.list_images(registry)
        except RegistryError as error:
            return Choice(error=str(error))
        return Choice(tuple(str(image) for image in found.images), whole=found.whole)

    async def tags(self, image: ImageName) -> Choice:
        """Ask its registry for the tags of an image, of a project or not. Nothing is recorded."""

        def work(reader: Reader) -> Registry | None:
            project = reader.project_by_image(image)
            return reader.registry_of(project) if project else reader.registry_for_host(image.host)

        registry = await self.services.store.read(work)
        try:
            tags = await self.services.list_tags(image, registry)
        except RegistryError as error:
            return Choice(error=str(error))
        # As stored: one tag of a Gitea in two cases would be two choices.
        kind = registry.kind if registry else None
        return Choice(tuple(dict.fromkeys(normal_tag(tag, kind) for tag in tags)), whole=True)


def add_registry(
    tx: Tx,
    services: OperationServices,
    fields: Mapping[str, Any],
    docker_config: str | None = None,
) -> Registry:
    """Add a registry and return it. Raises ConflictError and FieldError."""
    bare = Registry(id=new_id(), name=fields["name"], url=fields["url"], kind=fields["kind"])
    registry = _changed(services, bare, fields, docker_config)
    _check_unique(tx, registry)
    tx.add_registry(registry)
    _record_registry(tx, services, AuditAction.REGISTRY_CREATE, None, registry)
    return registry


def edit_registry(
    tx: Tx,
    services: OperationServices,
    old: Registry,
    fields: Mapping[str, Any],
    docker_config: str | None = None,
) -> Registry:
    """Change the fields given and return the registry. Raises ConflictError and FieldError."""
    registry = _changed(services, old, fields, docker_config)
    _check_unique(tx, registry)
    tx.put_registry(registry)
    _record_registry(tx, services, AuditAction.REGISTRY_CHANGE, old, registry)
    return registry


def _record_registry(
    tx: Tx,
    services: OperationServices,
    action: AuditAction,
    old: Registry | None,
    new: Registry | None,
) -> None:
    if registry := new or old:
        subject = AuditSubject(id=registry.id, name=registry.name)
        services.record(tx, action, subject, changes_between(old, new))


def _changed(
    services: OperationServices,
    registry: Registry,
    fields: Mapping[str, Any],
    docker_config: str | None,
) -> Registry:
    said = with_one_source(fields)
    changed = replace(registry, **said)
    if changed.url != registry.url:
        # The service of the old registry must not get the password of the new one.
        changed = replace(changed, login_service="")
    if changed.kind is RegistryKind.OCI and "/" in changed.url.partition("://")[2]:
        raise FieldError(
            "url",
            "only of the kind gitea it may have a path: every other registry is at the root"
            " of its host",
        )
    if docker_config is None:
        _check_password_stays(registry, changed, said)
        return changed
    if any(said.get(name) for name in ("username", "password", "password_command")):
        raise FieldError(
            "docker_config", "brings username and password itself: give either it or those"
        )
    try:
        login = services.login_for(docker_config, changed.host)
    except InvalidValueError as error:
        raise FieldError("docker_config", str(error)) from None
    return replace(
        changed,
        username=login.username,
        password=None if login.command else login.password,
        password_command=login.command,
    )


def _check_password_stays(old: Registry, new: Registry, said: Mapping[str, Any]) -> None:
    """Raise FieldError where a saved password would follow a URL to where nobody sent it."""
    # Who may change the URL may not read the password, and would get it by a server of their own.
    is_in_clear = old.url.startswith("https://") and new.url.startswith("http://")
    if old.password is None or "password" in said or (old.host == new.host and not is_in_clear):
        return
    raise FieldError(
        "password",
        f"the one that is saved is for {old.url} and does not go along to {new.url}: give the"
        " password again together with the new URL, or remove the saved one in the same change",
    )


def with_one_source(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with a password or a command: the one that is given replaces the other."""
    # Empty removes either.
    empty = {"password": None, "password_command": ""}
    said = {name: value or empty.get(name, value) for name, value in fields.items()}
    if said.get("password") and said.get("password_command"):
        raise FieldError("password_command", "prints the password itself: give one of both")
    if said.get("password_command"):
        said["password"] = None
    elif said.get("password"):
        said["password_command"] = ""
    return said


def _check_unique(reader: Reader, registry: Registry) -> None:
    """Raise ConflictError where another registry has the name or the host."""
    for other in reader.registries():
        if other.id != registry.id and other.name == registry.name:
            raise ConflictError(f"there is a registry named {registry.name} already")
        if other.id != registry.id and other.host == registry.host:
            raise TakenError(
                f"the registry {other.name} has the host {registry.host} already", other.id
            )
