"""The settings that change while the server runs, and the webhook's URL."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import hook_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.hook_schemas import signature_set
from tagboat.api.services import ApiServices, Services
from tagboat.core.auto_create import what_the_url_allows
from tagboat.core.config import WEBHOOK_SECRET, Config, read_auto_create, read_config
from tagboat.core.ports import Topic, Tx

router = APIRouter(prefix="/api/settings", tags=["settings"])


@router.get("", responses=problems())
async def get_settings(services: Services, version: Versioned) -> schemas.SettingsOut:
    """The settings."""
    config = await services.store.read(read_config)
    version.mark(config)
    return _view(config)


@router.patch("", responses=problems(412, 413, 422))
async def change_settings(
    services: Services, version: Versioned, body: schemas.SettingsUpdate
) -> schemas.SettingsOut:
    """Change what is given; it holds from now on."""

    def change(tx: Tx) -> Config:
        version.check(read_config(tx))
        for name, value in body.given().items():
            tx.put_setting(name, value)
        tx.announce(Topic.SETTINGS)
        return read_config(tx)

    config = await services.store.write(change)
    if "poll_schedule" in body.given():
        await services.polls.settle()
    version.mark(config)
    return _view(config)


@router.get("/webhook", responses=problems())
async def get_webhook(services: Services) -> schemas.WebhookUrlOut:
    """The URL that senders call."""
    secret = await services.store.read(lambda reader: reader.setting(WEBHOOK_SECRET))
    return await _url(services, secret if isinstance(secret, str) else await services.new_secret())


@router.get("/webhook/signature", responses=problems())
async def get_webhook_signature(services: Services) -> hook_schemas.GlobalSignatureOut:
    """How calls of that URL must be signed. `kind` is null where they need not be."""
    return await services.store.read(lambda reader: signature_set(reader.webhook_signature()))


@router.put("/webhook/signature", responses=problems(413, 422))
async def set_webhook_signature(
    services: Services, body: hook_schemas.SignatureUpdate
) -> hook_schemas.GlobalSignatureOut:
    """Demand that calls of that URL be signed; those that are not are answered like a wrong secret from now on."""
    signature = body.to_signature()

    def change(tx: Tx) -> hook_schemas.GlobalSignatureOut:
        tx.put_webhook_signature(signature)
        return signature_set(signature)

    return await services.store.write(change)


@router.delete("/webhook/signature", status_code=HTTPStatus.NO_CONTENT, responses=problems())
async def delete_webhook_signature(services: Services) -> None:
    """Demand no signature any more."""
    await services.store.write(lambda tx: tx.put_webhook_signature(None))


@router.post("/webhook/regenerate", responses=problems())
async def regenerate_webhook(services: Services) -> schemas.WebhookUrlOut:
    """Make a new URL; the old one is unknown from the next call on."""
    return await _url(services, await services.new_secret())


def _view(config: Config) -> schemas.SettingsOut:
    return schemas.SettingsOut(
        poll_schedule=config.poll_schedule,
        auto_create=config.auto_create,
        auto_create_images=None
        if config.auto_create_images is None
        else list(config.auto_create_images),
        max_projects=config.max_projects,
        deliveries_keep_days=config.deliveries_keep_days,
        deliveries_keep=config.deliveries_keep,
        images_keep=config.images_keep,
        history_keep_days=config.history_keep_days,
    )


async def _url(services: ApiServices, secret: str) -> schemas.WebhookUrlOut:
    policy = await services.store.read(read_auto_create)
    return schemas.WebhookUrlOut(
        url=services.webhook_url(secret), allows=what_the_url_allows(policy)
    )
