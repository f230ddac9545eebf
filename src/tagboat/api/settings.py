"""The settings that change while the server runs, and the webhook's URL."""

from fastapi import APIRouter

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.parts import ApiParts, Parts
from tagboat.core.config import WEBHOOK_SECRET, read_config
from tagboat.core.ports import Reader, Topic, Tx

router = APIRouter(prefix="/api/settings", tags=["settings"])


@router.get("", responses=problems())
async def get_settings(parts: Parts) -> schemas.Settings:
    """The settings."""
    return await parts.store.read(_view)


@router.patch("", responses=problems(413, 422))
async def change_settings(parts: Parts, body: schemas.SettingsChange) -> schemas.Settings:
    """Change what is given; it holds from now on."""

    def change(tx: Tx) -> schemas.Settings:
        for name, value in body.given().items():
            tx.put_setting(name, value)
        tx.announce(Topic.SETTINGS)
        return _view(tx)

    return await parts.store.write(change)


@router.get("/webhook", responses=problems())
async def get_webhook(parts: Parts) -> schemas.WebhookUrl:
    """The URL that senders call."""
    secret = await parts.store.read(lambda reader: reader.setting(WEBHOOK_SECRET))
    return _url(parts, secret if isinstance(secret, str) else await parts.new_secret())


@router.post("/webhook/regenerate", responses=problems())
async def regenerate_webhook(parts: Parts) -> schemas.WebhookUrl:
    """Make a new URL; the old one is unknown from the next call on."""
    return _url(parts, await parts.new_secret())


def _view(reader: Reader) -> schemas.Settings:
    config = read_config(reader)
    return schemas.Settings(
        poll_schedule=config.poll_schedule,
        auto_create=config.auto_create,
        auto_create_images=list(config.auto_create_images),
    )


def _url(parts: ApiParts, secret: str) -> schemas.WebhookUrl:
    return schemas.WebhookUrl(url=f"{parts.public_url}/api/webhook/{secret}")
