"""The settings that change while the server runs, and the webhook's URL."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import hook_schemas, settings_schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.hook_schemas import signature_set
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops
from tagboat.api.views import show_settings

router = APIRouter(prefix="/api/settings", tags=["settings"])


@router.get("", responses=problems())
async def get_settings(operations: Ops, version: Versioned) -> settings_schemas.SettingsOut:
    """Return the settings."""
    config = await operations.settings.read()
    version.mark(config)
    return show_settings(config)


@router.patch("", responses=problems(412, 413, 422))
async def change_settings(
    operations: Ops, version: Versioned, body: settings_schemas.SettingsUpdate
) -> settings_schemas.SettingsOut:
    """Change the fields given; they hold from now on."""
    config = await operations.settings.change(body.given(), version.check)
    version.mark(config)
    return show_settings(config)


@router.get("/webhook", responses=problems(), openapi_extra=ADMIN_ONLY)
async def get_webhook(operations: Ops) -> settings_schemas.WebhookUrlOut:
    """Return the URL that senders call."""
    found = await operations.settings.webhook_url()
    return settings_schemas.WebhookUrlOut(url=found.url, allows=found.allows)


@router.get("/webhook/signature", responses=problems())
async def get_webhook_signature(operations: Ops) -> hook_schemas.GlobalSignatureOut:
    """Return how calls of that URL must be signed. `kind` is null where they need not be."""
    return signature_set(await operations.settings.webhook_signature())


@router.put("/webhook/signature", responses=problems(413, 422))
async def set_webhook_signature(
    operations: Ops, body: hook_schemas.SignatureUpdate
) -> hook_schemas.GlobalSignatureOut:
    """Demand that calls of that URL are signed; others are answered like a wrong secret."""
    signature = body.to_signature()
    await operations.settings.set_webhook_signature(signature)
    return signature_set(signature)


@router.delete("/webhook/signature", status_code=HTTPStatus.NO_CONTENT, responses=problems())
async def delete_webhook_signature(operations: Ops) -> None:
    """Demand no signature any more."""
    await operations.settings.set_webhook_signature(None)


@router.post("/webhook/regenerate", responses=problems())
async def regenerate_webhook(operations: Ops) -> settings_schemas.WebhookUrlOut:
    """Make a new URL; the old one is unknown from the next call on."""
    made = await operations.settings.regenerate_webhook_url()
    return settings_schemas.WebhookUrlOut(url=made.url, allows=made.allows)
