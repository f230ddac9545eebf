"""Webhook URLs of projects: made, shown without their secret, rotated, revoked."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import hook_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import HookId, ProjectId
from tagboat.api.views import show_made_webhook, show_webhook

router = APIRouter(prefix="/api", tags=["webhooks"])


@router.get("/projects/{project_id}/webhooks", responses=problems(404, 422))
async def list_hooks(
    operations: Ops, project_id: ProjectId, page: Page
) -> schemas.PageOut[hook_schemas.HookOut]:
    """List the webhook URLs of a project without their secrets, in order of name."""
    found = await operations.catalog.webhooks(project_id)
    # A project has few: all are read, and the page is cut here.
    rest = [view for view in found if view.webhook.name > page.after]
    shown, cursor = page.cut(rest, lambda view: view.webhook.name)
    return schemas.PageOut(items=[show_webhook(view) for view in shown], next=cursor)


@router.post(
    "/projects/{project_id}/webhooks",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_hook(
    operations: Ops, project_id: ProjectId, body: hook_schemas.HookCreate
) -> hook_schemas.CreatedHookOut:
    """Make a webhook URL that accepts pushes of the project's image only. It is shown only here."""
    signature = body.signature.to_signature() if body.signature else None
    return show_made_webhook(await operations.webhooks.create(project_id, body.name, signature))


@router.get("/webhooks/{hook_id}", responses=problems(404))
async def get_hook(operations: Ops, version: Versioned, hook_id: HookId) -> hook_schemas.HookOut:
    """Return one webhook URL, without its secret."""
    found = await operations.catalog.webhook(hook_id)
    version.mark(found.webhook)
    return show_webhook(found)


@router.patch("/webhooks/{hook_id}", responses=problems(404, 409, 412, 413, 422))
async def change_hook(
    operations: Ops, version: Versioned, hook_id: HookId, body: hook_schemas.HookUpdate
) -> hook_schemas.HookOut:
    """Change the fields given; the URL stays."""
    # Null as signature removes it, so that "not sent" must stay apart from it.
    fields = body.given()
    if "signature" in fields:
        fields["signature"] = body.signature.to_signature() if body.signature else None
    changed = await operations.webhooks.change(hook_id, fields, version.check)
    version.mark(changed.webhook)
    return show_webhook(changed)


@router.post("/webhooks/{hook_id}/rotate", responses=problems(404))
async def rotate_hook(operations: Ops, hook_id: HookId) -> hook_schemas.CreatedHookOut:
    """Make a new URL; the old one is unknown from the next call on. It is shown only here."""
    return show_made_webhook(await operations.webhooks.rotate(hook_id))


@router.delete(
    "/webhooks/{hook_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems(404, 412)
)
async def revoke_hook(operations: Ops, version: Versioned, hook_id: HookId) -> None:
    """Revoke a webhook URL: it is unknown from the next call on. Its deploys stay."""
    await operations.webhooks.revoke(hook_id, version.check)
