"""Webhook URLs of projects: made, shown without their secret, made anew, revoked."""

import uuid
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import hook_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.hook_schemas import signature_shown
from tagboat.api.pagination import Page
from tagboat.api.services import Services
from tagboat.api.values import HookId, ProjectId
from tagboat.core.errors import ConflictError
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.project_webhook import ProjectWebhook, hash_secret

router = APIRouter(prefix="/api", tags=["webhooks"])


@router.get("/projects/{project_id}/webhooks", responses=problems(404, 422))
async def list_hooks(
    services: Services, project_id: ProjectId, page: Page
) -> schemas.PageOut[hook_schemas.HookOut]:
    """The webhook URLs of a project without their secrets, in order of name."""

    def read(reader: Reader) -> schemas.PageOut[hook_schemas.HookOut]:
        hooks = sorted(reader.hooks(reader.project(project_id).id), key=_place)
        shown, cursor = page.cut([hook for hook in hooks if _place(hook) > page.after], _place)
        return schemas.PageOut(items=[_view(reader, hook) for hook in shown], next=cursor)

    return await services.store.read(read)


@router.post(
    "/projects/{project_id}/webhooks",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_hook(
    services: Services, project_id: ProjectId, body: hook_schemas.HookCreate
) -> hook_schemas.CreatedHookOut:
    """Make a webhook URL that takes news of the project's image only. The answer is the one that shows it."""
    secret = _new_secret()
    hook = ProjectWebhook(
        id=new_id(),
        project_id=project_id,
        name=body.name,
        secret_hash=hash_secret(secret),
        signature=body.signature.to_signature() if body.signature else None,
        created_at=services.clock(),
    )

    def create(tx: Tx) -> hook_schemas.HookOut:
        tx.project(project_id)
        _check(tx, hook)
        tx.add_hook(hook)
        return _view(tx, hook)

    return _made(await services.store.write(create), services.webhook_url(secret))


@router.get("/webhooks/{hook_id}", responses=problems(404))
async def get_hook(services: Services, version: Versioned, hook_id: HookId) -> hook_schemas.HookOut:
    """One webhook URL, without its secret."""

    def read(reader: Reader) -> tuple[ProjectWebhook, hook_schemas.HookOut]:
        hook = reader.hook(hook_id)
        return hook, _view(reader, hook)

    hook, shown = await services.store.read(read)
    version.mark(hook)
    return shown


@router.patch("/webhooks/{hook_id}", responses=problems(404, 409, 412, 413, 422))
async def change_hook(
    services: Services, version: Versioned, hook_id: HookId, body: hook_schemas.HookUpdate
) -> hook_schemas.HookOut:
    """Change what is given; the URL stays."""
    values = body.given()
    if "signature" in values:
        values["signature"] = body.signature.to_signature() if body.signature else None

    def change(tx: Tx) -> tuple[ProjectWebhook, hook_schemas.HookOut]:
        old = tx.hook(hook_id)
        version.check(old)
        hook = replace(old, **values)
        _check(tx, hook)
        tx.put_hook(hook)
        return hook, _view(tx, hook)

    hook, shown = await services.store.write(change)
    version.mark(hook)
    return shown


@router.post("/webhooks/{hook_id}/rotate", responses=problems(404))
async def rotate_hook(services: Services, hook_id: HookId) -> hook_schemas.CreatedHookOut:
    """Make a new URL; the old one is unknown from the next call on. The answer is the one that shows it."""
    secret = _new_secret()

    def rotate(tx: Tx) -> hook_schemas.HookOut:
        hook = replace(tx.hook(hook_id), secret_hash=hash_secret(secret))
        tx.put_hook(hook)
        return _view(tx, hook)

    return _made(await services.store.write(rotate), services.webhook_url(secret))


@router.delete(
    "/webhooks/{hook_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems(404, 412)
)
async def revoke_hook(services: Services, version: Versioned, hook_id: HookId) -> None:
    """Revoke a webhook URL: it is unknown from the next call on. What it brought stays."""

    def revoke(tx: Tx) -> None:
        version.check(tx.hook(hook_id))
        tx.delete_hook(hook_id)

    await services.store.write(revoke)


def _new_secret() -> str:
    return str(uuid.uuid4())


def _place(hook: ProjectWebhook) -> str:
    return hook.name


def _check(reader: Reader, hook: ProjectWebhook) -> None:
    """Raise ConflictError unless `hook` can be saved."""
    if any(
        other.name == hook.name and other.id != hook.id for other in reader.hooks(hook.project_id)
    ):
        raise ConflictError(f"the project has a webhook named {hook.name} already")


def _view(reader: Reader, hook: ProjectWebhook) -> hook_schemas.HookOut:
    project = reader.project(hook.project_id)
    return hook_schemas.HookOut(
        id=hook.id,
        project=schemas.RefOut(id=project.id, name=project.name),
        name=hook.name,
        signature=signature_shown(hook.signature),
        created_at=hook.created_at,
    )


def _made(hook: hook_schemas.HookOut, url: str) -> hook_schemas.CreatedHookOut:
    return hook_schemas.CreatedHookOut(**dict(hook), url=url)
