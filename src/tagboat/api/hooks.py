"""Webhook URLs of projects: made, shown without their secret, rotated, revoked."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import hook_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import HookId, ProjectId
from tagboat.api.views import made_webhook_out, webhook_out

router = APIRouter(prefix="/api", tags=["webhooks"])


@router.get("/projects/{project_id}/webhooks", responses=problems(404, 422))
async def list_hooks(
    operations: Ops, project_id: ProjectId, page: Page
) -> schemas.Page[hook_schemas.Hook]:
    """List the webhook URLs of a project without their secrets, in order of name."""
    found = await operations.catalog.webhooks(project_id)
    rest = [view for view in found if view.webhook.name > page.after]
    shown, cursor = page.cut(rest, lambda view: view.webhook.name)
    return schemas.Page(items=[webhook_out(view) for view in shown], next=cursor)


@router.post(
    "/projects/{project_id}/webhooks",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_hook(
    operations: Ops, project_id: ProjectId, body: hook_schemas.HookAsked
) -> hook_schemas.HookMade:
    """Make a webhook URL that accepts pushes of the project's image only. It is shown only here."""
    signature = body.signature.to_signature() if body.signature else None
    return made_webhook_out(await operations.webhooks.create(project_id, body.name, signature))


@router.get("/webhooks/{hook_id}", responses=problems(404))
async def get_hook(operations: Ops, hook_id: HookId) -> hook_schemas.Hook:
    """Return one webhook URL, without its secret."""
    return webhook_out(await operations.catalog.webhook(hook_id))


@router.patch("/webhooks/{hook_id}", responses=problems(404, 409, 413, 422))
async def change_hook(
    operations: Ops, hook_id: HookId, body: hook_schemas.HookChange
) -> hook_schemas.Hook:
    """Change the fields given; the URL stays."""
    fields = body.given()
    if "signature" in fields:
        fields["signature"] = body.signature.to_signature() if body.signature else None
    return webhook_out(await operations.webhooks.change(hook_id, fields))


@router.post("/webhooks/{hook_id}/rotate", responses=problems(404))
async def rotate_hook(operations: Ops, hook_id: HookId) -> hook_schemas.HookMade:
    """Make a new URL; the old one is unknown from the next call on. It is shown only here."""
    return made_webhook_out(await operations.webhooks.rotate(hook_id))


@router.delete("/webhooks/{hook_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems(404))
async def revoke_hook(operations: Ops, hook_id: HookId) -> None:
    """Revoke a webhook URL: it is unknown from the next call on. Its deploys stay."""
    await operations.webhooks.revoke(hook_id)
